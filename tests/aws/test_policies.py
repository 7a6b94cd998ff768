"""Who may do what, held against the service authorization reference, and against what the program declares.

parliament knows actions, their resource types and condition keys. It does not know which services there are, nor
which buckets and roles are ours: a policy that names another one is taken by AWS, and then does nothing.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.aws.arns import real
from tests.aws.auditor import findings
from tests.aws.configurations import CONFIGURATIONS
from tests.aws.plant import Plant
from tests.experiment import reference
from tests.infra.program import SUFFIX, Declared, Program, arn, declare

# Who takes on the role that a resource names in one of these properties.
TAKEN_ON_BY = {
    ("lambda.Function", "role"): "lambda.amazonaws.com",
    ("ecs.TaskDefinition", "executionRoleArn"): "ecs-tasks.amazonaws.com",
    ("ecs.TaskDefinition", "taskRoleArn"): "ecs-tasks.amazonaws.com",
}
OVER_TLS = {"Bool": {"aws:SecureTransport": "false"}}


def _bucket(old: str, new: str, told: str) -> Plant:
    return Plant("s3.BucketPolicy", "results", {"policy": lambda text: text.replace(old, new)}, told)


def _master(old: str, new: str, told: str) -> Plant:
    return Plant("iam.RolePolicy", "master", {"policy": lambda text: text.replace(old, new)}, told)


PLANTS = (
    _bucket("dev-results", "dev-result", "'arn:aws:s3:::dev-result-0123abc' is not in this bucket"),
    _bucket('/*"', '"', "nothing denies what comes without TLS"),
    _bucket('"Principal": "*"', '"Principal": {"AWS": "1234"}', "UNKNOWN_PRINCIPAL"),
    _bucket('"Principal": "*"', '"Principal": {"Service": "nobody.amazonaws.com"}', "nothing denies"),
    _bucket('"Deny"', '"Allow"', "anybody"),
    _bucket('"Principal"', '"Principle"', "MALFORMED"),
    _bucket("s3:*", "ec2:*", "'ec2:*' is not S3's"),
    _bucket("s3:*", "s3:Delete*", "nothing denies what comes without TLS"),
    _bucket("aws:SecureTransport", "aws:SecureTransports", "UNKNOWN_CONDITION_FOR_ACTION"),
    _bucket('"Bool"', '"Boolean"', "UNKNOWN_OPERATOR"),
    _bucket('"false"', '"true"', "nothing denies what comes without TLS"),
    Plant("s3.BucketPolicy", "results", {"bucket": "another"}, "is not in this bucket"),
    _master("s3:PutObject", "s3:PutObjekt", "UNKNOWN_ACTION: Unknown action s3:PutObjekt"),
    _master("ssmmessages:", "ssm:", "UNKNOWN_ACTION: Unknown action ssm:CreateControlChannel"),
    _master("elasticache:DescribeReplicationGroups", "elasticache:DescribeEvents", "RESOURCE_MISMATCH"),
    _master("dev-results", "dev-result", "names nothing that is declared"),
    _master('"Sid": "PortForward"', '"Sid": "WriteRunFolders"', "DUPLICATE_SID"),
    Plant(
        "iam.Role",
        "function",
        {"assumeRolePolicy": lambda text: text.replace("lambda.", "lamda.")},
        "dev-session runs as this role, so lambda.amazonaws.com has to be let in",
    ),
    Plant(
        "iam.Role",
        "master",
        {"assumeRolePolicy": lambda text: text.replace("ecs-tasks.", "ecs.")},
        "dev-master runs as this role, so ecs-tasks.amazonaws.com has to be let in",
    ),
    Plant(
        "iam.Role",
        "pull",
        {"assumeRolePolicy": lambda text: text.replace("sts:AssumeRole", "sts:AsumeRole")},
        "'sts:AsumeRole'",
    ),
)


def complaints(program: Program) -> list[str]:
    """What is wrong with the program's policies, each with the URN of the resource that it is about."""
    return [
        f"{resource.urn}: {trouble}"
        for kind, check in (
            ("iam.Role", _trust_policy),
            ("iam.RolePolicy", _role_policy),
            ("s3.BucketPolicy", _bucket_policy),
        )
        for resource in program.of(kind)
        for trouble in check(program, resource)
    ]


def _trust_policy(program: Program, role: Declared) -> Iterator[str]:
    """Parliament takes no trust policies: they name no resource."""
    let_in: set[str] = set()
    for statement in statements(role.inputs["assumeRolePolicy"]):
        if statement["Effect"] != "Allow" or statement["Action"] != "sts:AssumeRole":
            yield f"a trust policy lets sts:AssumeRole, this one {statement['Effect']} {statement['Action']!r}"
        let_in |= set(listed(statement["Principal"]["Service"]))
    own = arn(role.type, role.name + SUFFIX)
    for (kind, property_), service in TAKEN_ON_BY.items():
        for user in program.of(kind):
            if user.inputs.get(property_) == own and service not in let_in:
                yield f"{user.name} runs as this role, so {service} has to be let in; it lets in {sorted(let_in)}"


def _role_policy(program: Program, policy: Declared) -> Iterator[str]:
    text = real(policy.inputs["policy"])
    yield from findings(text)
    # real() knows the types with an ARN that policies name.
    known = [real(arn(resource.type, resource.name + SUFFIX)) for resource in program]
    for statement in statements(text):
        for resource in listed(statement["Resource"]):
            if resource != "*" and not any(
                resource == one or resource.startswith((one + ":", one + "/")) for one in known
            ):
                yield f"{resource!r} names nothing that is declared"


def _bucket_policy(_program: Program, policy: Declared) -> Iterator[str]:
    text = real(policy.inputs["policy"])
    yield from findings(text)
    whole = {bucket := f"arn:aws:s3:::{policy.inputs['bucket']}", f"{bucket}/*"}
    for statement in statements(text):
        for resource in listed(statement["Resource"]):
            if resource != bucket and not resource.startswith(f"{bucket}/"):
                yield f"{resource!r} is not in this bucket, {bucket}"
        for action in listed(statement["Action"]):
            if {known.split(":")[0] for known in reference.expand(action)} != {"s3"}:
                yield f"{action!r} is not S3's"
        if statement["Effect"] == "Allow" and statement.get("Principal") == "*":
            yield "anybody may do something in this bucket"
    if not any(_closes(statement, whole) for statement in statements(text)):
        yield f"nothing denies what comes without TLS: wanted is Deny for all of s3:* on {sorted(whole)} if {OVER_TLS}"


def _closes(statement: Mapping[str, Any], whole: set[str]) -> bool:
    """Whether a statement refuses everybody everything in the bucket that does not come over TLS."""
    return (
        (statement["Effect"], statement.get("Principal"), statement["Action"]) == ("Deny", "*", "s3:*")
        and set(listed(statement["Resource"])) == whole
        and statement.get("Condition") == OVER_TLS
    )


def statements(policy: str) -> list[dict[str, Any]]:
    """A policy's statements."""
    statements: list[dict[str, Any]] = json.loads(policy)["Statement"]
    return statements


def listed(value: str | list[str]) -> list[str]:
    """One or several, as a policy may write either."""
    return [value] if isinstance(value, str) else value


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_policies_fit(configuration: str) -> None:
    """Every policy of every configuration uses actions, resources and principals that exist and that fit."""
    assert complaints(CONFIGURATIONS[configuration].declare()) == []


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_a_mistake_is_told(plant: Plant) -> None:
    """Each planted mistake is told with its resource's URN, so that a check that sees nothing cannot pass."""
    program = declare()
    trouble = plant.missed(program, complaints(plant.into(program)))
    assert not trouble, trouble
