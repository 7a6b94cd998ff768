"""Asks a resource's own service whether the resource still exists, for resources that AWS lists by tags.

The tagging API lists "tagged or previously tagged" resources (Resource Groups Tagging API Reference, GetResources): a
NAT gateway stays listed for about an hour after it was deleted, a task definition as long as its revision is known.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import botocore
from botocore.exceptions import ClientError

from experiment.aws.asking import asking, code_of
from experiment.aws.cloud import Cloud
from experiment.errors import PassingError, StepError

MOST = 200  # calls in total: 500 nodes are not asked for one by one


@dataclass(frozen=True)
class Arn:
    """A resource's ARN in parts: `ec2`, `natgateway`, `nat-0123`."""

    text: str
    service: str
    kind: str
    name: str
    account: str

    @classmethod
    def of(cls, text: str) -> "Arn":
        """`arn:PARTITION:SERVICE:REGION:ACCOUNT:KIND/NAME`, with `:` for `/` in some, without KIND in S3's."""
        _, _, service, _, account, rest = [*text.split(":", 5), *[""] * 6][:6]
        kind, _, name = re.sub(r"[:/]", "\0", rest, count=1).rpartition("\0")
        return cls(text, service, kind, name.removesuffix(":*"), account)


@dataclass(frozen=True)
class Query:
    """How to ask about one resource type."""

    action: str
    """IAM's name of the call."""
    parameters: Callable[[Arn], dict[str, Any]]
    answer: str = ""
    """The answer's key for the resource or its list; empty when any answer means that it exists."""
    state: str = ""
    dead: frozenset[str] = frozenset()
    named: str = ""
    """For a listing by prefix: the field that must be the whole name."""
    call: str = ""
    """boto3's name of the call where it does not follow from `action`."""
    gone: str = "404"
    """An error code that means gone without saying so."""


def _by(filter_name: str, *, word: str = "Filters") -> Callable[[Arn], dict[str, Any]]:
    """EC2's filters: a deleted resource gives an empty answer instead of an error."""
    return lambda arn: {word: [{"Name": filter_name, "Values": [arn.name]}]}


def _name(field: str) -> Callable[[Arn], dict[str, Any]]:
    return lambda arn: {field: arn.name}


def _names(field: str) -> Callable[[Arn], dict[str, Any]]:
    return lambda arn: {field: [arn.name]}


def _arns(field: str) -> Callable[[Arn], dict[str, Any]]:
    return lambda arn: {field: [arn.text]}


def _in_cluster(field: str) -> Callable[[Arn], dict[str, Any]]:
    """`service/CLUSTER/NAME` and `task/CLUSTER/ID`."""
    return lambda arn: {"cluster": arn.name.rpartition("/")[0], field: [arn.name.rpartition("/")[2]]}


_DELETED = frozenset({"deleted"})
_INACTIVE = frozenset({"INACTIVE"})
_DEREGISTERED = frozenset({"INACTIVE", "DELETE_IN_PROGRESS"})
QUERIES: dict[tuple[str, str], Query] = {
    ("ec2", "vpc"): Query("ec2:DescribeVpcs", _by("vpc-id"), "Vpcs", "State"),
    ("ec2", "subnet"): Query("ec2:DescribeSubnets", _by("subnet-id"), "Subnets", "State"),
    ("ec2", "route-table"): Query("ec2:DescribeRouteTables", _by("route-table-id"), "RouteTables"),
    ("ec2", "internet-gateway"): Query("ec2:DescribeInternetGateways", _by("internet-gateway-id"), "InternetGateways"),
    ("ec2", "elastic-ip"): Query("ec2:DescribeAddresses", _by("allocation-id"), "Addresses"),
    ("ec2", "natgateway"): Query(
        "ec2:DescribeNatGateways", _by("nat-gateway-id", word="Filter"), "NatGateways", "State", _DELETED
    ),
    ("ec2", "vpc-endpoint"): Query(
        "ec2:DescribeVpcEndpoints", _by("vpc-endpoint-id"), "VpcEndpoints", "State", _DELETED
    ),
    ("ec2", "security-group"): Query("ec2:DescribeSecurityGroups", _by("group-id"), "SecurityGroups"),
    ("ec2", "security-group-rule"): Query(
        "ec2:DescribeSecurityGroupRules", _by("security-group-rule-id"), "SecurityGroupRules"
    ),
    ("ec2", "network-interface"): Query(
        "ec2:DescribeNetworkInterfaces", _by("network-interface-id"), "NetworkInterfaces", "Status"
    ),
    ("elasticache", "replicationgroup"): Query(
        "elasticache:DescribeReplicationGroups", _name("ReplicationGroupId"), "ReplicationGroups", "Status"
    ),
    ("elasticache", "cluster"): Query(
        "elasticache:DescribeCacheClusters", _name("CacheClusterId"), "CacheClusters", "CacheClusterStatus"
    ),
    ("elasticache", "parametergroup"): Query(
        "elasticache:DescribeCacheParameterGroups", _name("CacheParameterGroupName"), "CacheParameterGroups"
    ),
    ("elasticache", "subnetgroup"): Query(
        "elasticache:DescribeCacheSubnetGroups", _name("CacheSubnetGroupName"), "CacheSubnetGroups"
    ),
    ("elasticache", "user"): Query("elasticache:DescribeUsers", _name("UserId"), "Users", "Status"),
    ("elasticache", "usergroup"): Query("elasticache:DescribeUserGroups", _name("UserGroupId"), "UserGroups", "Status"),
    ("lambda", "function"): Query("lambda:GetFunction", _name("FunctionName")),
    ("logs", "log-group"): Query(
        "logs:DescribeLogGroups", _name("logGroupNamePrefix"), "logGroups", named="logGroupName"
    ),
    ("elasticloadbalancing", "loadbalancer"): Query(
        "elasticloadbalancing:DescribeLoadBalancers", _arns("LoadBalancerArns"), "LoadBalancers"
    ),
    ("elasticloadbalancing", "targetgroup"): Query(
        "elasticloadbalancing:DescribeTargetGroups", _arns("TargetGroupArns"), "TargetGroups"
    ),
    ("elasticloadbalancing", "listener"): Query(
        "elasticloadbalancing:DescribeListeners", _arns("ListenerArns"), "Listeners"
    ),
    ("ecs", "cluster"): Query("ecs:DescribeClusters", _names("clusters"), "clusters", "status", _INACTIVE),
    ("ecs", "service"): Query("ecs:DescribeServices", _in_cluster("services"), "services", "status", _INACTIVE),
    ("ecs", "task"): Query("ecs:DescribeTasks", _in_cluster("tasks"), "tasks", "lastStatus", frozenset({"STOPPED"})),
    # An unknown revision gives a ClientException; a listed ARN is well-formed, so here that code means gone.
    ("ecs", "task-definition"): Query(
        "ecs:DescribeTaskDefinition", _name("taskDefinition"), "taskDefinition", "status", _DEREGISTERED,
        gone="ClientException",
    ),
    ("ecr", "repository"): Query("ecr:DescribeRepositories", _names("repositoryNames"), "repositories"),
    ("servicediscovery", "namespace"): Query("servicediscovery:GetNamespace", _name("Id")),
    ("servicediscovery", "service"): Query("servicediscovery:GetService", _name("Id")),
    ("route53", "hostedzone"): Query("route53:GetHostedZone", _name("Id")),
    ("iam", "role"): Query("iam:GetRole", lambda arn: {"RoleName": arn.name.rpartition("/")[2]}),
    ("s3", ""): Query("s3:ListBucket", _name("Bucket"), call="head_bucket"),
}  # fmt: skip
_CLIENTS = {"elasticloadbalancing": "elbv2"}
GONE = "gone"


class Alive:
    """Asks about resources with a limited number of calls; never asks again about one that is gone."""

    def __init__(self, cloud: Cloud, most: int = MOST) -> None:
        self._cloud = cloud
        self._left = most
        self._gone: set[str] = set()

    def state(self, text: str) -> str:
        """`GONE`, or `it lives` with the resource's state, or why it was not checked."""
        if text in self._gone:
            return GONE
        arn = Arn.of(text)
        query = QUERIES.get((arn.service, arn.kind))
        if query is None or not self._left:
            return "AWS still lists it, not checked"
        self._left -= 1
        try:
            state = self._ask(arn, query)
        except PassingError:
            raise
        except StepError as error:
            return f"AWS still lists it, not checked ({error.said})"
        if state == GONE:
            self._gone.add(text)
        return state

    def _ask(self, arn: Arn, query: Query) -> str:
        client = self._cloud.client(_CLIENTS.get(arn.service, arn.service))
        call = query.call or botocore.xform_name(query.action.partition(":")[2])
        with asking("destroy", arn.text, query.action):
            try:
                answer = getattr(client, call)(**query.parameters(arn))
            except ClientError as error:
                if _means_gone(code_of(error), query):
                    return GONE
                raise
        content: Any = answer.get(query.answer, []) if query.answer else {}
        entries = cast("list[dict[str, Any]]", content if isinstance(content, list) else [content])
        lives = [entry for entry in entries if not query.named or entry.get(query.named) == arn.name]
        states = [_text(entry.get(query.state, "")) if query.state else "" for entry in lives]
        if all(state in query.dead for state in states):  # also true for an empty answer
            return GONE
        return f"it lives ({states[0]})" if states[0] else "it lives"


def _means_gone(code: str, query: Query) -> bool:
    return code == query.gone or "NotFound" in code or code.startswith("NoSuch")


def _text(state: object) -> str:
    return state if isinstance(state, str) else ""
