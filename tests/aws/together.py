"""Rules of AWS, told in prose, for requests that must fit one another; each line names its source."""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, cast

from tests.aws.documents import dashboards, image_lifecycles
from tests.aws.requests import Request, ec2_id
from tests.infra.program import SUFFIX

CACHE_GUIDE = "ElastiCache guide"
_TAGGING = "tagging guide, naming limits"
# Engine and version as the guide lists them ("Engine versions and upgrading"), and the family of each ("Engine specific
# parameters": Parameter group family). Families of other majors are incompatible.
FAMILIES = {
    "redis 7.1": "redis7",
    "valkey 7.2": "valkey7",
    "valkey 8.0": "valkey8",
    "valkey 8.1": "valkey8",
    "valkey 8.2": "valkey8",
    "valkey 9.0": "valkey9",
    "valkey 9.1": "valkey9",
}


def _of(requests: list[Request], operation: str) -> Iterator[Request]:
    return (request for request in requests if f"{request.service}:{request.operation}" == operation)


def _families(requests: list[Request]) -> Iterator[str]:
    """A replication group's parameter group is of its engine's family and enables cluster mode if it has shards."""
    families = {
        made.parameters["CacheParameterGroupName"]: made.parameters["CacheParameterGroupFamily"]
        for made in _of(requests, "elasticache:CreateCacheParameterGroup")
    }
    clustered = {
        made.parameters["CacheParameterGroupName"]
        for made in _of(requests, "elasticache:ModifyCacheParameterGroup")
        if {"ParameterName": "cluster-enabled", "ParameterValue": "yes"} in made.parameters["ParameterNameValues"]
    }
    for group in _of(requests, "elasticache:CreateReplicationGroup"):
        sent = group.parameters
        engine, name = f"{sent.get('Engine')} {sent.get('EngineVersion')}", sent.get("CacheParameterGroupName")
        if engine not in FAMILIES:
            yield f"{group}: Engine, EngineVersion = {engine}: {', '.join(FAMILIES)} ({CACHE_GUIDE}, engine versions)"
            continue
        seen = f"{group}: CacheParameterGroupName = {name!r}, of family {families.get(name)}"
        if families.get(name) != FAMILIES[engine]:
            yield f"{seen}: one of family {FAMILIES[engine]} ({CACHE_GUIDE}, engine specific parameters)"
        if sent.get("ClusterMode") == "enabled" and name not in clustered:
            yield f"{seen}: one with cluster-enabled yes ({CACHE_GUIDE}, parameters)"


def _users(requests: list[Request]) -> Iterator[str]:
    """A user group's users are declared; Redis OSS wants a "default" among them, Valkey that each has a password."""
    users = {made.parameters["UserId"]: made.parameters for made in _of(requests, "elasticache:CreateUser")}
    for group in _of(requests, "elasticache:CreateUserGroup"):
        seen = f"{group}: UserIds = {group.parameters.get('UserIds')}"
        inside = [users.get(user) for user in group.parameters.get("UserIds", [])]
        if None in inside:
            yield f"{seen}: users that are declared"
            continue
        members = cast("list[dict[str, Any]]", inside)
        defaults = [user["UserName"] for user in members].count("default")
        if defaults > 1 or (defaults == 0 and group.parameters.get("Engine") == "redis"):
            yield f'{seen}: one user named "default", which Valkey may go without ({CACHE_GUIDE}, RBAC)'
        if group.parameters.get("Engine") == "valkey" and not all(user.get("Passwords") for user in members):
            yield f"{seen}: users with a password ({CACHE_GUIDE}, RBAC)"


def _commands(requests: list[Request]) -> Iterator[str]:
    """Execute Command, which the port-forward goes through, needs a role that the task itself takes."""
    with_role = {
        made.parameters["family"]
        for made in _of(requests, "ecs:RegisterTaskDefinition")
        if "taskRoleArn" in made.parameters
    }
    for service in _of(requests, "ecs:CreateService"):
        # The mocked cloud puts a name's random end into a task definition's ARN, too.
        task = service.parameters.get("taskDefinition", "").rpartition("/")[2].partition(":")[0].removesuffix(SUFFIX)
        if service.parameters.get("enableExecuteCommand") and task not in with_role:
            yield f"{service}: enableExecuteCommand = True: a task with taskRoleArn (ECS guide, ECS Exec)"


def _inline_policies(requests: list[Request]) -> Iterator[str]:
    """All inline policies of a role, white space not counted."""
    size: dict[str, int] = {}
    for put in _of(requests, "iam:PutRolePolicy"):
        role, document = put.parameters["RoleName"], put.parameters["PolicyDocument"]
        size[role] = size.get(role, 0) + len(re.sub(r"\s", "", document))
        if size[role] > 10240:
            yield f"{put}: PolicyDocument: {size[role]} characters for {role}; at most 10240 (IAM guide, quotas)"


def _tags(requests: list[Request]) -> Iterator[str]:
    """What no service may be given as a tag."""
    letters = "letters, digits, spaces, + - = . _ : / @"
    for request in requests:
        tags = list(tags_inside(request.parameters))
        if len(tags) > 50:
            yield f"{request}: {len(tags)} tags: at most 50 ({_TAGGING})"
        for key, value in tags:
            seen = f"{request}: tag {key!r} = {value!r}"
            if not re.fullmatch(r"(?!(?i:aws):)[\w .:/=+@-]{1,128}", key):
                yield f"{seen}: a key of at most 128 {letters}, not aws: ({_TAGGING})"
            if not re.fullmatch(r"[\w .:/=+@-]{0,256}", value):
                yield f"{seen}: a value of at most 256 {letters} ({_TAGGING})"


def tags_inside(value: Any) -> Iterator[tuple[str, str]]:
    """Every tag in a request, in whatever form its service wants them: a map called tags, or pairs of key and value."""
    if isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from tags_inside(item)
    elif isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        if {key.lower() for key in entries} == {"key", "value"}:
            key, text = (entries[name] for name in sorted(entries, key=str.lower))
            yield key, text
        for name, inside in entries.items():
            if name.lower() == "tags" and isinstance(inside, dict) and "MatchOptions" not in inside:
                yield from cast("dict[str, str]", inside).items()
            else:
                yield from tags_inside(inside)


def _balancers(requests: list[Request]) -> Iterator[str]:
    """A balancer has a subnet in each of two zones at least, and room in it."""
    subnets = {ec2_id("subnet", made.urn): made.parameters for made in _of(requests, "ec2:CreateSubnet")}
    for balancer in _of(requests, "elbv2:CreateLoadBalancer"):
        own = [subnets[subnet] for subnet in balancer.parameters.get("Subnets", [])]
        zones = [subnet["AvailabilityZone"] for subnet in own]
        if len(set(zones)) != len(zones) or len(zones) < 2:
            yield f"{balancer}: Subnets in {', '.join(zones)}: one subnet in each of two zones at least (model)"
        for block in (str(subnet["CidrBlock"]) for subnet in own):
            if int(block.rpartition("/")[2]) > 27:
                yield f"{balancer}: Subnets: {block}: /27 or larger (ELB guide, subnets for your load balancer)"


def _rules_once(requests: list[Request]) -> Iterator[str]:
    """No group has a rule twice."""
    made: dict[str, list[Request]] = {}
    for operation in ("ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress"):
        for request in _of(requests, operation):
            for allowed in request.parameters["IpPermissions"]:
                bare = json.dumps([request.parameters["GroupId"], operation, _without_description(allowed)])
                made.setdefault(bare, []).append(request)
    for same in made.values():
        for request in same if len(same) > 1 else []:
            yield f"{request}: the group has this rule already (EC2 API reference, InvalidPermission.Duplicate)"


def _without_description(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_description(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {name: _without_description(entries[name]) for name in sorted(entries) if name != "Description"}
    return value


def _notifications(requests: list[Request]) -> Iterator[str]:
    """A budget warns ten times at most, and never twice of the same."""
    for budget in _of(requests, "budgets:CreateBudget"):
        name = budget.parameters["Budget"]["BudgetName"]
        own = [
            json.dumps(made.parameters["Notification"], sort_keys=True)
            for made in _of(requests, "budgets:CreateNotification")
            if made.parameters["BudgetName"] == name
        ]
        if len(own) > 10 or len(set(own)) < len(own):
            yield f"{budget}: {len(own)} notifications: at most 10, no two alike (model, CreateBudget)"


TOGETHER: tuple[Callable[[list[Request]], Iterator[str]], ...] = (
    _families,
    _users,
    _commands,
    _inline_policies,
    _tags,
    _balancers,
    _rules_once,
    _notifications,
    dashboards,
    image_lifecycles,
)
