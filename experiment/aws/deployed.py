"""A deployed stack: its exports and region, or why only its bucket is available."""

from dataclasses import dataclass
from typing import Any

from experiment.aws.engine import Engine
from experiment.errors import StepError


@dataclass(frozen=True)
class Deployed:
    """What every step uses."""

    exports: dict[str, Any]
    region: str | None
    profile: str | None
    why_not: str = ""
    """Why only the bucket is available; empty while the stack stands."""


def look(engine: Engine, bucket: str, region: str) -> Deployed:
    """The stack as Pulumi knows it now. A named bucket suffices; the stack is used only if the bucket belongs to it."""
    try:
        (configured, profile), exports = engine.region(), engine.exports()
    except StepError as error:
        if not bucket:
            raise
        return Deployed({"resultsBucket": bucket}, region or None, None, f"stack {engine.name}: {error.said}")
    standing = exports.get("resultsBucket")
    if not standing:
        why_not = f"stack {engine.name} is not deployed"
    elif bucket and bucket != standing:
        why_not = f"stack {engine.name} has another bucket, {standing}"
    else:
        return Deployed(exports, region or configured, profile)
    return Deployed({"resultsBucket": bucket} if bucket else {}, region or configured, profile, why_not)
