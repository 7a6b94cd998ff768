"""The requests that the provider makes of the program, held against botocore's models and what AWS says in prose.

The models tell types, required parameters, enums, patterns, lengths and ranges; prose.py and together.py the rest.
"""

import functools
import json
from collections.abc import Callable
from typing import Any, cast

import pytest

from tests.aws.configurations import CONFIGURATIONS
from tests.aws.models import broken
from tests.aws.plant import Drop, Plant
from tests.aws.prose import RULES, Rule, misfits, values
from tests.aws.requests import Request, UnmappedError, changes, creations
from tests.infra.program import Program, declare

USER = "user over TLS on Valkey"
REDIS = "user over TLS on Redis 7.1"
BUDGET = "with a budget"


def complaints(program: Program) -> list[str]:
    """All that is told of a program."""
    try:
        made = creations(program)
    except UnmappedError as error:
        return [str(error)]
    return [*broken(made), *misfits(made)]


def told(made: list[Request]) -> str:
    """All rules that these requests break, a line for each."""
    return "\n".join([*broken(made), *misfits(made)])


@functools.cache
def made_of(configuration: str) -> list[Request]:
    """The requests of one configuration, made once."""
    return creations(CONFIGURATIONS[configuration].declare())


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_aws_takes_what_is_declared(configuration: str) -> None:
    """No request of the first `up` breaks a rule of AWS's."""
    assert told(made_of(configuration)) == ""


def test_aws_takes_the_reshard() -> None:
    """The requests that move the slots break no rule."""
    made = changes(declare("dev"), declare("dev", shardCount=2))
    assert told(made) == ""


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.operations[0]}-{rule.path}-{rule.refused}"[:80])
def test_a_rule_of_prose_is_asked_and_can_refuse(rule: Rule) -> None:
    """No line of the table is dead: some request has its parameter, and there is a value that it refuses."""
    assert not rule.holds(rule.refused)
    asked = [
        value
        for configuration in (USER, BUDGET)
        for request in made_of(configuration)
        if f"{request.service}:{request.operation}" in rule.operations
        for value in values(request.parameters, rule.path)
    ]
    assert asked


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"MemorySize": True}, "MemorySize = True: not of type integer"),
        ({"Publish": "true"}, "Publish = 'true': not of type boolean"),
        ({"Code": {"ZipFile": "text"}}, "Code.ZipFile = 'text': not of type blob"),
        ({"Architectures": "x86_64"}, "Architectures = 'x86_64': not a list"),
        ({"Architectures": ["x86_64", "arm64"]}, "Architectures: 2 items: at most 1 items"),
        ({"VpcConfig": ["subnet-1"]}, "VpcConfig = ['subnet-1']: not a structure"),
        ({"Tags": ["Project"]}, "Tags = ['Project']: not a map"),
        ({"Environment": {"Variables": {"1ST": ""}}}, "Environment.Variables (key) = '1ST': does not match"),
        ({"Environment": {"Variables": {"A": "", "B": 1}}}, "Environment.Variables.B = 1: not of type string"),
    ],
)
def test_a_model_is_asked_about_every_kind_of_value(parameters: dict[str, Any], complaint: str) -> None:
    """Structures, lists, maps and their keys, and each plain type are looked into, at any depth."""
    sent = {"FunctionName": "f", "Role": "arn:aws:iam::123456789012:role/f", "Code": {}, **parameters}
    found = broken([Request("urn", "lambda", "CreateFunction", sent)])
    assert any(line.startswith(f"urn: lambda CreateFunction: {complaint}") for line in found), found


def _containers(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    """A change of the only container inside a task definition's JSON."""

    def changed(text: str) -> str:
        container = cast("list[dict[str, Any]]", json.loads(text))[0]
        change(container)
        return json.dumps([container])

    return changed


def _first(**changed: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """A change of a list's first block."""
    return lambda blocks: [{**blocks[0], **changed}, *blocks[1:]]


_TOO_WIDE = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "A" * 10240}]})

PLANTS = (
    # What stood in the program once, or could be typed into a setting, and what AWS would have answered.
    Plant("ec2.SecurityGroup", "cache", {"description": "For the cluster's nodes"}, "Description = "),
    Plant("vpc.SecurityGroupEgressRule", "worker-to-aws", {"description": "To AWS's APIs"}, "IpRanges[].Description"),
    Plant(
        "vpc.SecurityGroupIngressRule",
        "cache-of-function",
        {"description": "From the cluster's functions"},
        "UserIdGroupPairs[].Description",
    ),
    Plant("lb.TargetGroup", "session", {"healthCheck": {"enabled": False}}, "interval is above its timeout"),
    Plant("lb.LoadBalancer", "alb", {"name": "internal-alb"}, 'not "internal-"'),
    Plant("elasticache.ReplicationGroup", "cache", {"engineVersion": "8.2"}, "family valkey9: one of family valkey8"),
    Plant("elasticache.ParameterGroup", "cache", {"family": "valkey9.1"}, "redis7, valkey7, valkey8, valkey9"),
    # Sizes and numbers that do not exist.
    Plant("ecs.TaskDefinition", "worker", {"memory": "1024"}, "a size of Fargate's table"),
    Plant("ecs.TaskDefinition", "master", {"cpu": "1000"}, "a size of Fargate's table"),
    Plant("cloudwatch.LogGroup", "session", {"retentionInDays": 31.0}, "retentionInDays = 31"),
    Plant("lambda.Function", "session", {"timeout": 901.0}, "1 to 900 s"),
    Plant("lambda.Function", "session", {"memorySize": 64.0}, "at least 128"),
    Plant("lambda.Function", "audit", {"memorySize": 20480.0}, "128 to 10240 MB"),
    Plant("lb.Listener", "http", {"port": 70000.0}, "Port = 70000: at most 65535"),
    Plant("lb.LoadBalancer", "alb", {"idleTimeout": 4001.0}, "an idle timeout from 1 to 4000 s"),
    Plant("vpc.SecurityGroupIngressRule", "balancer-of-worker", {"toPort": 65536.0}, "ToPort = 65536: a port"),
    Plant("elasticache.ReplicationGroup", "cache", {"replicasPerNodeGroup": 6.0}, "0 to 5"),
    Plant("elasticache.ReplicationGroup", "cache", {"numNodeGroups": 300.0}, "at most 500 nodes"),
    Plant("elasticache.ReplicationGroup", "cache", {"numNodeGroups": 1.5}, "not of type integer"),
    Plant("servicediscovery.Service", "master", {"dnsConfig.dnsRecords": _first(ttl=-1.0)}, "TTL = -1: at least 0"),
    Plant("ec2.Vpc", "vpc", {"cidrBlock": "10.0.0.0/8"}, "from /16 to /28"),
    Plant("ec2.Subnet", "public", {"cidrBlock": "10.0.0.1/24"}, "from /16 to /28"),
    # Words that AWS does not know.
    Plant("lambda.Function", "session", {"runtime": "python3.16"}, "Runtime = 'python3.16': none of"),
    Plant("lambda.Function", "session", {"runtime": "python3.8"}, "still makes functions with"),
    Plant("lambda.Function", "session", {"tracingConfig.mode": "On"}, "TracingConfig.Mode = 'On': none of"),
    Plant("ecs.Service", "worker", {"launchType": "FARGAT"}, "launchType = 'FARGAT': none of"),
    Plant("ecs.Service", "master", {"propagateTags": "SERVICES"}, "propagateTags = 'SERVICES': none of"),
    Plant("ecs.TaskDefinition", "master", {"networkMode": "bridge"}, "network mode awsvpc"),
    Plant("ec2.VpcEndpoint", "s3", {"vpcEndpointType": "Gate"}, "VpcEndpointType = 'Gate': none of"),
    Plant("elasticache.ReplicationGroup", "cache", {"engine": "Valkey"}, "valkey or redis"),
    Plant("elasticache.ReplicationGroup", "cache", {"engineVersion": "8.x"}, "engine versions"),
    Plant("elasticache.ReplicationGroup", "cache", {"clusterMode": "on"}, "ClusterMode = 'on': none of"),
    Plant("s3.BucketVersioning", "results", {"versioningConfiguration.status": "On"}, "Status = 'On': none of"),
    Plant(
        "s3.BucketServerSideEncryptionConfiguration",
        "results",
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES-256"}}]},
        "SSEAlgorithm = 'AES-256': none of",
    ),
    # Names too long, or of letters that the service does not take.
    Plant("lb.TargetGroup", "session", {"name": "a" * 33}, "at most 32 letters"),
    Plant("elasticache.ReplicationGroup", "cache", {"replicationGroupId": "a" * 41}, "1 to 40 letters"),
    Plant("elasticache.ReplicationGroup", "cache", {"replicationGroupId": "my--cache"}, "no two hyphens together"),
    Plant("elasticache.SubnetGroup", "cache", {"name": "my_cache"}, "at most 255 letters, digits, hyphens"),
    Plant("iam.Role", "pull", {"name": "a" * 65}, "at most 64 characters"),
    Plant("iam.Role", "master", {"description": "What the master may do \N{EM DASH} no more"}, "Description = "),
    Plant("lambda.Function", "audit", {"name": "a" * 65}, "at most 64 characters"),
    Plant("s3.Bucket", "results", {"bucket": "My-Results"}, "3 to 63 of a-z 0-9"),
    Plant("ecr.Repository", "load", {"name": "Load"}, "repositoryName = 'Load': does not match"),
    Plant("ecs.Cluster", "load", {"name": "load/1"}, "letters, numbers, underscores and hyphens"),
    Plant("cloudwatch.LogGroup", "load", {"name": "aws/load"}, "not aws/"),
    Plant("cloudwatch.Dashboard", "dashboard", {"dashboardName": "reshard 1"}, "at most 255 of A-Z a-z 0-9 - _"),
    Plant("servicediscovery.Service", "master", {"name": "the master"}, "Name = 'the master': does not match"),
    Plant("ec2.Eip", "nat", {"tags.Project": "load & cache"}, "tag 'Project' = 'load & cache'"),
    # What is required and missing, empty, or one where two are wanted.
    Plant("lambda.Permission", "invoke", {"principal": Drop()}, "Principal: required, and missing"),
    Plant("lb.TargetGroupAttachment", "session", {"targetId": Drop()}, "Targets[0].Id: required, and missing"),
    Plant("iam.Role", "function", {"assumeRolePolicy": Drop()}, "AssumeRolePolicyDocument: required, and missing"),
    Plant("ec2.Subnet", "inner-0", {"vpcId": Drop()}, "VpcId: required, and missing"),
    Plant("elasticache.ReplicationGroup", "cache", {"description": Drop()}, "ReplicationGroupDescription: required"),
    Plant("ecs.TaskDefinition", "worker", {"executionRoleArn": Drop()}, "an execution role"),
    Plant("ecs.Service", "worker", {"networkConfiguration.subnets": []}, "awsvpcConfiguration.subnets: required"),
    Plant("lb.LoadBalancer", "alb", {"subnets": lambda subnets: subnets[:1]}, "two zones' subnets"),
    Plant("elasticache.ReplicationGroup", "cache", {"automaticFailoverEnabled": False}, "cluster mode with failover"),
    Plant("elasticache.SubnetGroup", "cache", {"subnetIds": []}, "a subnet at least"),
    Plant("ecs.Service", "worker", {"enableExecuteCommand": True}, "a task with taskRoleArn"),
    # What nobody has asked AWS about, or what nobody has declared.
    Plant("ecs.Cluster", "load", {"setings": [{"name": "containerInsights"}]}, "setings: internal/service/ecs"),
    Plant("lambda.Function", "session", {"vpcConfig.subnets": ["subnet-1"]}, "vpcConfig.subnets: internal/service"),
    Plant("ec2.NatGateway", "nat", {"subnetId": "subnet-1"}, "no subnet of that id is declared"),
    Plant("ec2.Route", "public-out", {"destinationCidrBlock": "0.0.0.0/33"}, "DestinationCidrBlock = "),
    # Documents inside a property.
    Plant(
        "ecs.TaskDefinition",
        "master",
        {"containerDefinitions": _containers(lambda container: container.update(stopTimeout=121))},
        "at most 120 s on Fargate",
    ),
    Plant(
        "ecs.TaskDefinition",
        "worker",
        {"containerDefinitions": _containers(lambda container: container.update(stopTimout=60))},
        "containerDefinitions[0].stopTimout = 60: there is no such parameter",
    ),
    Plant(
        "ecs.TaskDefinition",
        "worker",
        {
            "containerDefinitions": _containers(
                lambda container: container["logConfiguration"]["options"].pop("awslogs-stream-prefix")
            )
        },
        "awslogs with group, region and stream prefix",
    ),
    Plant(
        "ecs.TaskDefinition",
        "master",
        {"containerDefinitions": _containers(lambda container: container["ulimits"][0].update(name="nproc"))},
        "nofile only",
    ),
    Plant("lambda.Function", "session", {"environment.variables.AWS_REGION": "eu-west-1"}, "not AWS_..."),
    Plant("iam.RolePolicy", "master", {"policy": _TOO_WIDE}, "at most 10240"),
    Plant("s3.BucketPolicy", "results", {"policy": "{"}, "Policy = '{': JSON"),
    Plant("ecr.LifecyclePolicy", "load", {"policy": "{}"}, "at least 100 characters"),
    Plant("s3.BucketLifecycleConfiguration", "results", {"rules": _first(id="earlier-versions")}, "no two rules"),
    Plant(
        "s3.BucketLifecycleConfiguration",
        "results",
        {"rules": _first(abortIncompleteMultipartUpload={"daysAfterInitiation": "7 days"})},
        "DaysAfterInitiation = '7 days': not of type integer",
    ),
)
WITH_USERS = (
    Plant("elasticache.User", "user", {"passwords": ["correct,horse/battery"]}, 'without , " / @'),
    Plant("elasticache.User", "user", {"passwords": ["too short"]}, "16 to 128 characters"),
    Plant("elasticache.User", "user", {"accessString": "~session_:* +@hash"}, "begins with on or off"),
    Plant("elasticache.User", "nobody", {"userId": "0-nobody"}, "UserId = '0-nobody': does not match"),
    Plant("elasticache.UserGroup", "users", {"engine": "memcached"}, "Engine = 'memcached': valkey or redis"),
    Plant("elasticache.UserGroup", "users", {"userIds": ["somebody"]}, "users that are declared"),
    Plant("elasticache.ReplicationGroup", "cache", {"transitEncryptionEnabled": False}, "users only over TLS"),
)
WITH_BUDGET = (
    Plant("budgets.Budget", "budget", {"timeUnit": "MONTH"}, "TimeUnit = 'MONTH': none of"),
    Plant("budgets.Budget", "budget", {"limitAmount": "100 USD"}, "Amount = '100 USD'"),
    Plant("budgets.Budget", "budget", {"metrics": "Unblended"}, "Metrics[0] = 'Unblended': none of"),
    Plant(
        "budgets.Budget",
        "budget",
        {"notifications": _first(subscriberEmailAddresses=[])},
        "Subscribers: 0 items: at least 1 items",
    ),
)


@pytest.mark.parametrize(
    ("configuration", "plant"),
    [
        *(("default", plant) for plant in PLANTS),
        *((USER, plant) for plant in WITH_USERS),
        *((BUDGET, plant) for plant in WITH_BUDGET),
    ],
    ids=str,
)
def test_a_planted_mistake_is_told_with_its_resource(configuration: str, plant: Plant) -> None:
    """Each rule that this check knows is broken once, in one declared property, and the message names the resource."""
    program = CONFIGURATIONS[configuration].declare()
    assert plant.missed(program, complaints(plant.into(program))) == ""


def test_redis_wants_a_default_user() -> None:
    """Redis OSS's user groups need a user named "default"; Valkey's do not."""
    for configuration, told in ((REDIS, 'one user named "default"'), (USER, "")):
        program = CONFIGURATIONS[configuration].declare()
        user = program.one("elasticache.User", "user").inputs["userId"]
        alone = Plant("elasticache.UserGroup", "users", {"userIds": [user]}, told)
        found = complaints(alone.into(program))
        assert alone.missed(program, found) == "" if told else found == []
