"""The policy that docs/aws.md gives to whoever deploys covers what the experiment asks of AWS."""

import ast
import fnmatch
import json
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
POLICY: dict[str, Any] = json.loads((ROOT / "docs" / "aws-policy.json").read_text())


def asked() -> set[str]:
    """Every action that a call of experiment/ names for its error message."""
    found: set[str] = set()
    for file in (ROOT / "experiment").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            text = node.value if isinstance(node, ast.Constant) else None
            if isinstance(text, str) and re.fullmatch(r"[a-z0-9]+:[A-Z][A-Za-z]+", text):
                found.add(text)
    return found


def test_every_action_that_is_asked_for_is_allowed() -> None:
    """A policy that lacks one ends a run after 50 minutes of load."""
    allowed = [action for statement in POLICY["Statement"] for action in statement["Action"]]
    assert len(asked()) > 15
    # A listing is allowed as ListBucket, whatever its call is named.
    lacking = {action for action in asked() if not any(fnmatch.fnmatchcase(action, one) for one in allowed)}
    assert lacking == set()


def test_roles_are_handed_only_to_the_services_that_run_here() -> None:
    """PassRole without a condition would let the deployer become anybody."""
    for statement in POLICY["Statement"]:
        if {"iam:PassRole", "iam:CreateServiceLinkedRole"} & set(statement["Action"]):
            assert statement["Condition"]["StringEquals"]


def test_the_policy_fits_into_one_managed_policy() -> None:
    """IAM counts 6,144 characters without white space."""
    assert len(json.dumps(POLICY, separators=(",", ":"))) <= 6144
