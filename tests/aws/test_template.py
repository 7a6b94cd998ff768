"""CloudFormation's rules, held against all that the program declares: cfn-lint reads it as one template.

It knows which values AWS takes, and what fits what: Fargate sizes, subnets of a VPC, an engine's versions. It does not
know parameter families, a balancer's longest name, or which characters the description of a group's rule may hold;
prose.py does.
"""

import functools
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from cfnlint.config import ConfigMixIn
from cfnlint.decode import decode_str
from cfnlint.runner import Runner

from tests.aws.configurations import CONFIGURATIONS
from tests.aws.counterparts import KINDS
from tests.aws.plant import Drop, Plant, rounds
from tests.aws.provider.call import UnmappedError
from tests.aws.template import Template
from tests.infra.program import Program, declare

# cfn-lint asks in each region; what the program writes of its region (zones, ARNs) is eu-west-1's in both.
REGIONS = ("eu-west-1", "us-east-1")

# Rules that are not asked, each with why.
IGNORED = {
    "I4010": "asks for a note to the template's readers; nobody reads or deploys this one",
    "W3010": "the program asks the region which zones it has; the template holds the answer",
}


PLANTS = (
    Plant("budgets.Budget", "budget", {"timeUnit": Drop()}, "E3003"),
    Plant("cloudwatch.LogGroup", "session", {"retentionInDays": 31.0}, "31 is not one of"),
    Plant("cloudwatch.LogGroup", "audit", {"retentionInDays": "30"}, "'30' is not of type 'integer'"),
    Plant("ec2.Eip", "nat", {"domain": "vpcs"}, "'vpcs' is not one of"),
    Plant("ec2.NatGateway", "nat", {"subnetId": "subnet-1"}, "names no declared ec2.Subnet"),
    Plant("ec2.SecurityGroup", "cache", {"description": "the cluster's nodes"}, "E3031"),
    Plant("ec2.SecurityGroup", "worker", {"description": Drop()}, "'GroupDescription' is a required property"),
    Plant("ec2.Subnet", "inner-0", {"cidrBlock": "10.1.1.0/24"}, "is not a valid subnet of ['10.0.0.0/16']"),
    Plant("ec2.Subnet", "inner-1", {"cidrBlock": "10.0.1.128/25"}, "overlaps with '10.0.1.0/24'"),
    Plant("ec2.VpcEndpoint", "s3", {"vpcEndpointType": "Gate"}, "'Gate' is not one of"),
    Plant("ecr.LifecyclePolicy", "load", {"policy": "{}"}, "E3033"),
    Plant("ecr.Repository", "load", {"encryptionConfigurations": [{"encryptionType": "AES"}]}, "'AES' is not one of"),
    Plant("ecs.Service", "master", {"taskDefinition": "dev-master"}, "names no declared ecs.TaskDefinition"),
    Plant("ecs.Service", "worker", {"launchType": "FARGAT"}, "'FARGAT' is not one of"),
    Plant("ecs.TaskDefinition", "worker", {"memory": "1024"}, "Cpu '1024' is not compatible with memory '1024'"),
    Plant("ecs.TaskDefinition", "worker", {"runtimePlatform.cpuArchitecture": "X86"}, "'X86' is not one of"),
    Plant("ecs.TaskDefinition", "worker", {"networkMode": "bridge"}, "'bridge' is not one of ['awsvpc']"),
    Plant(
        "ecs.TaskDefinition",
        "master",
        {"containerDefinitions": lambda text: text.replace('"awslogs"', '"awslog"')},
        "'awslog' is not a supported Fargate log driver",
    ),
    Plant("elasticache.ReplicationGroup", "cache", {"engineVersion": "9.9"}, "'9.9' is not one of"),
    Plant("elasticache.ReplicationGroup", "cache", {"engine": "valky"}, "'valky' is not one of"),
    Plant("elasticache.ReplicationGroup", "cache", {"nodeType": "cache.r7.large"}, "'cache.r7.large' is not one of"),
    Plant("elasticache.ReplicationGroup", "cache", {"replicasPerNodeGroup": 6.0}, "greater than the maximum of 5"),
    Plant("elasticache.ReplicationGroup", "cache", {"automaticFailoverEnabled": False}, "E3026"),
    Plant("elasticache.ReplicationGroup", "cache", {"subnetGroupName": "mine"}, "names no declared"),
    Plant("iam.Role", "master", {"assumeRolePolicy": lambda text: text.replace("Principal", "Principle")}, "E3530"),
    Plant("iam.Role", "pull", {"description": "Wh\x07at"}, "E3031"),
    Plant("iam.RolePolicy", "master", {"policy": lambda text: text.replace("s3:PutObject", "s3:PutObjekt")}, "W3037"),
    Plant("iam.RolePolicy", "pull", {"policy": lambda text: text.replace("Allow", "Alow")}, "'Alow' is not one of"),
    Plant("lambda.Function", "session", {"runtime": "python3.99"}, "'python3.99' is not one of"),
    Plant("lambda.Function", "session", {"runtime": "python3.7"}, "was deprecated on"),
    Plant(
        "lambda.Function", "audit", {"role": lambda role: role.replace("dev-function", "dev")}, "no declared iam.Role"
    ),
    Plant("lambda.Function", "session", {"memorySize": 64.0}, "64 is less than the minimum of 128"),
    Plant("lambda.Function", "audit", {"timeout": 901.0}, "901 is greater than the maximum of 900"),
    Plant("lambda.Permission", "invoke", {"principal": Drop()}, "'Principal' is a required property"),
    Plant("lb.Listener", "http", {"protocol": "HTTPS"}, "'Certificates' is a required property"),
    Plant("lb.LoadBalancer", "alb", {"subnets": lambda ids: ids[:1]}, "expected minimum item count: 2, found: 1"),
    Plant("lb.TargetGroup", "session", {"targetType": "lamda"}, "'lamda' is not one of"),
    Plant("s3.BucketVersioning", "results", {"versioningConfiguration.status": "On"}, "'On' is not one of"),
    Plant("servicediscovery.Service", "master", {"name": "m" * 64}, "E3031"),
    Plant("servicediscovery.Service", "master", {"dnsConfig.routingPolicy": "MULTI"}, "'MULTI' is not one of"),
    Plant("vpc.SecurityGroupEgressRule", "worker-to-aws", {"securityGroupId": Drop()}, "'GroupId' is a required"),
    Plant("vpc.SecurityGroupIngressRule", "master-of-worker", {"ipProtocol": "tcpx"}, "W3687"),
)


ROUNDS = rounds(PLANTS)


def _whole() -> Program:
    """Every type that the program can declare."""
    return CONFIGURATIONS["with a budget"].declare()


@functools.cache
def _linter() -> Runner:
    """cfn-lint with all its rules, which take a second to load."""
    return Runner(
        ConfigMixIn(
            regions=list(REGIONS),
            include_checks=["I"],
            include_experimental=True,
            ignore_checks=list(IGNORED),
            configure_rules={"E3012": {"strict": True}},  # CloudFormation reads "30" as 30, the APIs do not
        )
    )


def complaints(program: Program) -> list[str]:
    """What CloudFormation would not take in one of the regions, each with the URN of the resource that it is about."""
    template = Template(program)
    body, unreadable = decode_str(json.dumps(template.body))
    assert body is not None, unreadable
    problems = list(template.dangling)
    for match in _linter().validate_template(body):
        path: list[str | int] = list(getattr(match, "path", None) or [])
        place = ".".join(map(str, path[3:]))
        problems.append(f"{template.about(path)} {place}: {match.message} ({match.rule.id})")
    return problems


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_cloudformation_takes_it(configuration: str) -> None:
    """CloudFormation takes every declared resource of every configuration, in each region."""
    assert complaints(CONFIGURATIONS[configuration].declare()) == []


@functools.cache
def _planted(number: int) -> list[str]:
    program = _whole()
    for plant in ROUNDS[number]:
        program = plant.into(program)
    return complaints(program)


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_a_mistake_is_told(plant: Plant) -> None:
    """Each planted mistake is told with its resource's URN, so that a check that sees nothing cannot pass."""
    (number,) = (number for number, plants in enumerate(ROUNDS) if plant in plants)
    trouble = plant.missed(_whole(), _planted(number))
    assert not trouble, trouble


def test_a_long_name_is_told() -> None:
    """A name that is too long with Pulumi's suffix is told with its resource, for each type that has a limit there."""
    program = declare()
    named = [program.one("iam.Role", "master"), program.one("s3.Bucket"), program.one("lambda.Function", "session")]
    longer = {resource.urn: replace(resource, name=resource.name + "-x" * 30) for resource in named}
    problems = complaints(Program({**program.resources, **longer}))
    for resource in named:
        own = [one for one in problems if one.startswith(f"{resource.urn} ") and "Name: " in one]
        assert own, (resource.urn, problems)


@pytest.mark.parametrize(
    "change", [{"type": "aws:sqs/queue:Queue"}, {"inputs": {"cidrBlock": "10.0.0.0/16", "instanceTenancy": "default"}}]
)
def test_what_is_not_mapped_is_told(change: dict[str, Any]) -> None:
    """A new type or property stops the check until it is mapped; it is not left out in silence."""
    program = declare()
    vpc = program.one("ec2.Vpc")
    with pytest.raises(UnmappedError, match=f"^{re.escape(vpc.urn)}: "):
        Template(Program({**program.resources, vpc.urn: replace(vpc, **change)}))


def test_every_counterpart_is_declared() -> None:
    """The table of types holds none that no configuration declares."""
    declared = {
        resource.short_type for configuration in CONFIGURATIONS.values() for resource in configuration.declare()
    }
    assert set(KINDS) == declared
