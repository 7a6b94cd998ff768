"""IAM's policy documents."""

import json
from typing import Any

import pulumi


def assumed_by(service: str) -> str:
    """A role's trust policy: only this AWS service may assume the role."""
    allow = {"Effect": "Allow", "Principal": {"Service": f"{service}.amazonaws.com"}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


def statement(sid: str, actions: list[str], resources: Any) -> dict[str, Any]:
    """One Allow of a policy document."""
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def document(statements: list[dict[str, Any]]) -> pulumi.Output[str]:
    """A policy document of these statements, which may hold outputs."""
    return pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements})
