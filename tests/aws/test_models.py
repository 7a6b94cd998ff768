"""The requests that the provider makes of the program, held against botocore's models and what AWS says in prose.

The models tell types, required parameters, enums, patterns, lengths and ranges; prose.py and together.py the rest.
"""

import functools
from typing import Any

import pytest

from tests.aws.configurations import CONFIGURATIONS
from tests.aws.models import broken
from tests.aws.plant import Plant
from tests.aws.plants import PLANTS, WITH_BUDGET, WITH_USERS
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
    problems = broken([Request("urn", "lambda", "CreateFunction", sent)])
    assert any(line.startswith(f"urn: lambda CreateFunction: {complaint}") for line in problems), problems


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
        problems = complaints(alone.into(program))
        assert alone.missed(program, problems) == "" if told else problems == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"availabilityZone": "eu-west-1a"}, "one subnet in each of two zones at least"),
        ({"cidrBlock": "10.0.2.0/28"}, "Subnets: 10.0.2.0/28: /27 or larger"),
    ],
)
def test_a_balancer_needs_two_zones_and_room(change: dict[str, Any], told: str) -> None:
    """The mistake is in a subnet, and it is the balancer that AWS refuses."""
    program = declare()
    problems = complaints(Plant("ec2.Subnet", "inner-1", change, told).into(program))
    balancer = program.one("lb.LoadBalancer").urn
    assert [line for line in problems if line.startswith(f"{balancer}: ") and told in line]
