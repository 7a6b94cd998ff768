"""The deployer's policies: enough for every call of the table, limited to what the stack made, and known to AWS."""

import ast
import copy
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from experiment.__main__ import main
from experiment.aws import permissions, policy
from experiment.aws.provider_calls import TypeRow, row, table
from experiment.program import Resource
from infra.naming import named
from tests.aws.configurations import CONFIGURATIONS, Configuration
from tests.aws.requests import Request, changes, creations
from tests.experiment import policy_checks as checks
from tests.experiment import reference
from tests.experiment.iam import IamRequest, allowed
from tests.infra.program import Program, declare

ROOT = Path(__file__).resolve().parents[2]
# A stranger's names: another stack's, and one that begins as this stack's do.
STRANGERS: dict[str, Callable[[str], str]] = {
    "another stack": lambda name: f"other-{name}",
    "a name that begins alike": lambda name: f"{name[:-8]}-other{name[-8:]}",
}


def resources(program: Program) -> list[Resource]:
    """The program's resources as experiment/program.py tells them."""
    return [Resource(declared.type, declared.name, declared.inputs, {}) for declared in program]


def made(title: str) -> tuple[Program, dict[str, policy.Policy], checks.StackNames]:
    """The program, the policies and the stack of one configuration."""
    configuration = CONFIGURATIONS[title]
    program = configuration.declare()
    policies = policy.policies(resources(program), checks.PROJECT, configuration.stack)
    return program, policies, checks.StackNames(program, configuration.stack)


def declared() -> set[str]:
    """Every resource type that any configuration declares."""
    return {resource.type for one in CONFIGURATIONS.values() for resource in one.declare()}


def test_every_declared_type_has_a_row_and_no_other_has() -> None:
    """A type without a row would be deployed without rights, a row without a type would grant rights for nothing."""
    assert declared() == {kind for kind in table() if ":" in kind}


def test_the_table_names_the_resource_types_that_aws_checks() -> None:
    """A type that is missing in the table is missing in the policies, and AWS refuses the call."""
    assert checks.mistyped(table()) == []


def test_what_the_table_calls_a_default_is_declared_nowhere() -> None:
    """The column tells what the provider sends although the program does not say it."""
    said = {
        f"{resource.type}: {name}"
        for one in CONFIGURATIONS.values()
        for resource in one.declare()
        for name in set(table()[resource.type].defaults) & set(resource.inputs)
    }
    assert said == set()


# Where an action is not called as the operation is.
ACTIONS = {
    "budgets:CreateBudget": "budgets:ModifyBudget",
    "budgets:CreateNotification": "budgets:ModifyBudget",
    "s3:PutBucketEncryption": "s3:PutEncryptionConfiguration",
    "s3:PutBucketLifecycleConfiguration": "s3:PutLifecycleConfiguration",
    "s3:PutPublicAccessBlock": "s3:PutBucketPublicAccessBlock",
}


def unlisted(made: list[Request], program: Program, rows: Mapping[str, TypeRow]) -> set[str]:
    """Requests whose action is missing in their resource type's row."""
    requests: set[str] = set()
    for request in made:
        operation = f"{request.service.replace('elbv2', 'elasticloadbalancing')}:{request.operation}"
        kind = program.resources[request.urn].type
        if ACTIONS.get(operation, operation) not in {call.action for call in rows[kind]}:
            requests.add(f"{kind}: {operation}")
    return requests


@pytest.mark.parametrize("title", CONFIGURATIONS)
def test_the_table_has_every_request_of_the_first_up(title: str) -> None:
    """The provider was read twice, for this table and for the requests; what only one reading saw is told."""
    program = CONFIGURATIONS[title].declare()
    assert unlisted(creations(program), program, table()) == set()


def test_the_table_has_the_requests_of_the_reshard() -> None:
    """A policy that lets the stack be made and not be resharded is found out after an hour of load."""
    after = declare("dev", shardCount=2)
    assert unlisted(changes(declare("dev"), after), after, table()) == set()


def test_a_row_that_lacks_an_action_is_told() -> None:
    """The policies are made from the table, so that they cannot tell what it lacks."""
    program = CONFIGURATIONS["default"].declare()
    kind = "aws:lb/listener:Listener"
    lacking = row(kind, {"source": [], "create": {"elasticloadbalancing:CreateListener": "named loadbalancer/app/"}})
    expected = {f"{kind}: elasticloadbalancing:ModifyListenerAttributes"}
    assert unlisted(creations(program), program, {**table(), kind: lacking}) == expected


@pytest.mark.parametrize("title", CONFIGURATIONS)
def test_everything_that_the_deployment_asks_for_is_allowed(title: str) -> None:
    """A refusal in the middle of `up` or `destroy` leaves half a stack, and it costs."""
    program, policies, stack = made(title)
    assert checks.refused(policies, program, stack, table()) == []


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("title", CONFIGURATIONS)
def test_a_strangers_resource_is_out_of_reach(title: str, stranger: str) -> None:
    """What another stack made is neither changed nor deleted, nor is a session opened there."""
    program, policies, _ = made(title)
    other = checks.StackNames(program, "other", STRANGERS[stranger])
    assert checks.granted(policies, program, other, table()) == []


@pytest.mark.parametrize("other", ["dev-2", "dev-load", "my-dev", "dev2", "de"])
def test_a_stack_whose_name_begins_alike_is_out_of_reach(other: str) -> None:
    """The suffix has seven characters and no more, so that `dev-load-???????` is not `dev-2-load-0123abc`."""
    program = Configuration(other).declare()
    policies = policy.policies(resources(Configuration("dev").declare()), checks.PROJECT, "dev")
    assert checks.granted(policies, program, checks.StackNames(program, other), table()) == []


@pytest.mark.parametrize("title", CONFIGURATIONS)
def test_aws_knows_what_the_policies_say(title: str) -> None:
    """A condition key that an action does not know, or an ARN that it does not act on, never matches."""
    _, policies, _ = made(title)
    assert checks.unknown(policies) == []
    assert checks.too_large(policies) == []
    assert checks.linted(policies) == []


def test_what_changes_is_limited_or_listed_with_its_reason() -> None:
    """Every wide right is one that somebody decided on; the list has none that is not needed."""
    _, policies, _ = made("with a budget")
    assert checks.unlimited(policies, table(), permissions.WIDE) == []
    unlimited = {line.split(": ")[0] for line in checks.unlimited(policies, table(), ())}
    assert set(permissions.WIDE) == unlimited


def test_the_policies_grant_no_action_beyond_the_table() -> None:
    """Only the listed readings are granted whole."""
    _, policies, _ = made("with a budget")
    granted = {name for one in policies.values() for statement in one["Statement"] for name in statement["Action"]}
    assert granted - set(permissions.READ_WHOLE) <= {call.action for one in table().values() for call in one}
    for pattern in permissions.READ_WHOLE:
        assert {reference.level(action) for action in reference.expand(pattern)} <= {"Read", "List"}


def asked() -> set[str]:
    """Every action that the sources of experiment/ name: a refused call tells the user to allow just this action.

    It reads sources, because a played run makes only some of the calls: not those after a failure.
    """
    found: set[str] = set()
    for file in (ROOT / "experiment").rglob("*.py"):
        if file.name in ("permissions.py", "policy.py"):
            continue  # what they name is asked for by no call of theirs
        for node in ast.walk(ast.parse(file.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", text):
                found.add(text)
    return found


def test_every_action_that_experiment_asks_for_is_allowed() -> None:
    """A policy that lacks one ends a run after 50 minutes of load."""
    _, policies, _ = made("default")
    names = {name for one in policies.values() for statement in one["Statement"] for name in statement["Action"]}
    assert len(asked()) > 15
    assert asked() <= {action for name in names for action in reference.expand(name)}


def test_the_command_prints_the_stacks_own_prefixes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names are shortened and lowered, so that nobody can write the policy by hand; every name is in it."""
    stack = "My_elasticache-demo"
    assert main(["policy", "--stack", stack, "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    files = sorted(tmp_path.iterdir())
    assert [line.rsplit("file://", maxsplit=1)[1] for line in printed] == [str(file) for file in files]
    policies = [json.loads(file.read_text()) for file in files]
    group = "arn:aws:elasticache:eu-west-1:123456789012:replicationgroup:"
    own = IamRequest("elasticache:DeleteReplicationGroup", f"{group}{named('cache', stack)}-0123abc")
    assert allowed(policies, own)
    assert not allowed(policies, IamRequest(own.action, f"{group}{stack.lower()}-cache-0123abc"))
    services = {name.split(":")[0] for name, (_, of) in permissions.NAMED.items() if of}
    titles = {statement["Sid"] for one in policies for statement in one["Statement"]}
    assert {f"{service.capitalize()}Named" for service in services} <= titles


STATEMENT = {
    "Effect": "Allow",
    "Action": ["ec2:Delete*", "ssm:EndSession"],
    "Resource": ["arn:aws:ec2:*:*:subnet/own-??", "arn:aws:ssm:*:*:session/${aws:username}-*"],
    "Condition": {"StringEquals": {"aws:ResourceTag/Stack": ["dev", "test"]}, "ArnLike": {"k": ["arn:*:x"]}},
}
CONTEXT = {"aws:ResourceTag/Stack": "dev", "k": "arn:aws:x", "aws:username": "me"}


@pytest.mark.parametrize(
    ("action", "arn", "context", "expected"),
    [
        ("ec2:DeleteSubnet", "arn:aws:ec2:eu-west-1:1:subnet/own-12", CONTEXT, True),
        ("ec2:deletesubnet", "arn:aws:ec2:eu-west-1:1:subnet/own-12", CONTEXT, True),
        ("ec2:CreateSubnet", "arn:aws:ec2:eu-west-1:1:subnet/own-12", CONTEXT, False),
        ("ec2:DeleteSubnet", "arn:aws:ec2:eu-west-1:1:subnet/own-123", CONTEXT, False),
        ("ec2:DeleteSubnet", "arn:aws:ec2:a:b:1:subnet/own-12", CONTEXT, False),
        ("ec2:DeleteSubnet", "arn:aws:ec2:eu-west-1:1:subnet/own-12", {**CONTEXT, "k": "x"}, False),
        ("ec2:DeleteSubnet", "arn:aws:ec2:eu-west-1:1:subnet/own-12", {"k": "arn:aws:x"}, False),
        ("ec2:DeleteSubnet", "*", CONTEXT, False),
        ("ssm:EndSession", "arn:aws:ssm:eu-west-1:1:session/me-1", CONTEXT, True),
        ("ssm:EndSession", "arn:aws:ssm:eu-west-1:1:session/you-1", CONTEXT, False),
    ],
)
def test_the_evaluator_decides_as_iam_does(action: str, arn: str, context: dict[str, str], expected: bool) -> None:
    """Wildcards stay within a part of the ARN, a missing key fails, all keys must hold, variables are filled in."""
    assert allowed([{"Statement": [STATEMENT]}], IamRequest(action, arn, context)) == expected


def _with(**statement: Any) -> Callable[[checks.Policies], None]:
    def plant(policies: checks.Policies) -> None:
        one = next(iter(policies.values()))
        one["Statement"].append({"Sid": "Planted", "Effect": "Allow", "Resource": ["*"], **statement})

    return plant


def _without(action: str) -> Callable[[checks.Policies], None]:
    def plant(policies: checks.Policies) -> None:
        for one in policies.values():
            for statement in one["Statement"]:
                statement["Action"] = [name for name in statement["Action"] if name != action]

    return plant


def _changed(sid: str, **parts: Any) -> Callable[[checks.Policies], None]:
    def plant(policies: checks.Policies) -> None:
        for one in policies.values():
            for statement in one["Statement"]:
                if statement["Sid"] == sid:
                    statement.update(parts)

    return plant


def _handwritten(policies: checks.Policies) -> None:
    """The prefix that docs once told to write: the stack's name as it is."""
    for one in policies.values():
        one.update(json.loads(json.dumps(one).replace("elasticach-da7b-", "elasticache-demo-")))


PLANTS: dict[str, tuple[Callable[[checks.Policies], None], str]] = {
    "an action that does not exist": (_with(Action=["ec2:CreatVpc"]), "ec2:CreatVpc: AWS knows no such action"),
    "an action that is missing": (_without("ec2:DetachNetworkInterface"), "ec2:DetachNetworkInterface on arn:aws:ec2"),
    "a dependent action that is missing": (_without("iam:PassRole"), "iam:PassRole on arn:aws:iam"),
    "listener attributes missing": (
        _without("elasticloadbalancing:ModifyListenerAttributes"),
        "elasticloadbalancing:ModifyListenerAttributes on arn:aws:elasticloadbalancing",
    ),
    "a delete on everything": (
        _with(Action=["elasticache:DeleteReplicationGroup"]),
        "elasticache:DeleteReplicationGroup: allowed on what is a stranger's",
    ),
    "a delete by a pattern": (_with(Action=["elasticache:Delete*"]), "elasticache:DeleteServerlessCache: allowed"),
    "a session on any instance": (_with(Action=["ssm:StartSession"]), "ssm:StartSession: allowed on what is"),
    "a condition key that the action does not know": (
        _with(Action=["ec2:DescribeVpcs"], Condition={"StringEquals": {"aws:ResourceTag/Stack": ["dev"]}}),
        "ec2:DescribeVpcs: does not know the condition key aws:ResourceTag/Stack",
    ),
    "another operator": (
        _with(Action=["ec2:DeleteVpc"], Condition={"StringNotEquals": {"aws:ResourceTag/Stack": ["x"]}}),
        "StringNotEquals: allowed are",
    ),
    "an ARN of another service": (
        _changed("SsmNamed", Resource=["arn:aws:ec2:*:*:vpc/*"]),
        "ssm:StartSession: acts on",
    ),
    "a tag condition that is lost": (_changed("Ec2Tagged", Condition={}), "ec2:DeleteVpc on arn:aws:ec2"),
    "another stack's tag": (
        _changed("Ec2Tagged", Condition={"StringEquals": {"aws:ResourceTag/Stack": ["other"]}}),
        "ec2:DeleteVpc on arn:aws:ec2",
    ),
    "tags on everything": (_with(Action=["ec2:CreateTags"]), "ec2:CreateTags on arn:aws:ec2"),
    "roles for any service": (_changed("PassRole", Resource=["*"]), "iam:PassRole: allowed on what is a stranger's"),
    "a name that is not shortened": (_handwritten, "elasticach-da7b-function-0123abc: refused"),
    "too much for one policy": (_with(Action=[f"ec2:DeleteVpc{' ' * 6144}"]), "-1: "),
}


@pytest.mark.parametrize("plant", PLANTS)
def test_a_planted_mistake_is_found_and_named(plant: str) -> None:
    """Each check fails on the mistake that it is for, and says which action or resource it is."""
    change, expected = PLANTS[plant]
    program = CONFIGURATIONS["default"].declare() if change is not _handwritten else _demo()
    stack = "elasticache-demo" if change is _handwritten else "dev"
    own, other = checks.StackNames(program, stack), checks.StackNames(program, "other", STRANGERS["another stack"])
    policies = copy.deepcopy(policy.policies(resources(program), checks.PROJECT, stack))
    change(policies)
    assert expected in "\n".join(_findings(policies, program, own, other))


def _demo() -> Program:
    return Configuration("elasticache-demo").declare()


def _findings(
    policies: checks.Policies, program: Program, own: checks.StackNames, other: checks.StackNames
) -> list[str]:
    return [
        *checks.refused(policies, program, own, table()),
        *checks.granted(policies, program, other, table()),
        *checks.unlimited(policies, table(), permissions.WIDE),
        *checks.unknown(policies),
        *checks.too_large(policies),
    ]


ROWS = {
    "no such action": ({"ec2:DeleteSubnett": "tagged subnet"}, "ec2:DeleteSubnett: AWS knows no such action"),
    "another type": ({"ec2:DeleteSubnet": "tagged vpc"}, "ec2:DeleteSubnet: acts on no vpc"),
    "a type forgotten": ({"ec2:CreateSubnet": "new subnet"}, "ec2:CreateSubnet: is checked against a vpc, too"),
}


@pytest.mark.parametrize("plant", ROWS)
def test_a_planted_mistake_in_the_table_is_found_and_named(plant: str) -> None:
    """The table is held to AWS's reference, not to itself."""
    calls, expected = ROWS[plant]
    rows: dict[str, TypeRow] = {"aws:ec2/subnet:Subnet": row("aws:ec2/subnet:Subnet", {"source": [], "create": calls})}
    assert f"aws:ec2/subnet:Subnet: {expected}" in checks.mistyped(rows)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"source": [], "creation": {}}, "allowed are source, defaults, create"),
        ({"source": [], "create": {"ec2:CreateVpc": "fresh vpc"}}, "'fresh vpc': allowed is any"),
    ],
)
def test_a_row_that_cannot_be_read_is_refused(content: dict[str, Any], expected: str) -> None:
    """A misspelt phase or target would silently grant nothing."""
    with pytest.raises(ValueError, match=expected):
        row("aws:ec2/vpc:Vpc", content)
