"""IAM's decision on one request, as far as the deployer's policies need it: allow statements and three operators."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

OPERATORS = ("StringEquals", "StringLike", "ArnLike")


@dataclass(frozen=True)
class IamRequest:
    """One action on one resource (`*`: on none that has an ARN), and what AWS knows at that moment."""

    action: str
    arn: str
    context: Mapping[str, str] = field(default_factory=dict[str, str])

    def __str__(self) -> str:
        """Action and resource, as a failing test names them."""
        return f"{self.action} on {self.arn}"


def allowed(policies: Iterable[Mapping[str, Any]], request: IamRequest) -> bool:
    """Whether any statement allows the request; nothing here denies, and an unknown operator holds for nothing."""
    return any(
        statement["Effect"] == "Allow"
        and any(_like(pattern.lower(), request.action.lower()) for pattern in statement["Action"])
        and any(_arn_like(pattern, request) for pattern in statement["Resource"])
        and _holds(statement.get("Condition", {}), request.context)
        for policy in policies
        for statement in policy["Statement"]
    )


@functools.lru_cache(maxsize=4096)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(re.escape(pattern).replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL)


def _like(pattern: str, text: str) -> bool:
    return _expression(pattern).fullmatch(text) is not None


def _arn_like(pattern: str, request: IamRequest) -> bool:
    """A wildcard stays within its part of the ARN; the sixth part goes on to the end."""
    if pattern == "*":
        return True
    for name in re.findall(r"\$\{([^}]+)\}", pattern):
        pattern = pattern.replace("${" + name + "}", request.context.get(name, "\0"))
    wanted, seen = pattern.split(":", 5), request.arn.split(":", 5)
    return len(wanted) == len(seen) and all(map(_like, wanted, seen))


def _holds(condition: Mapping[str, Mapping[str, list[str]]], context: Mapping[str, str]) -> bool:
    for operator, keys in condition.items():
        if operator not in OPERATORS:
            return False
        for key, values in keys.items():
            value = context.get(key)
            if value is None:
                return False
            if value not in values and (operator == "StringEquals" or not any(_like(one, value) for one in values)):
                return False
    return True
