"""What run.json says of a run on AWS that the load generator could not know."""

from collections.abc import Iterable, Mapping
from typing import Any

from infra.settings import Settings, shown


def of_settings(settings: Settings) -> dict[str, Any]:
    """The stack's settings, no secret among them."""
    engine, _, version = settings.cache_engine.partition(" ")
    return {
        "settings": shown(settings),
        "engine": {"name": engine, "version": version},
        "function": {"memory_mb": settings.function_memory, "timeout_s": settings.function_timeout},
    }


def during(reshard: Mapping[str, Any] | None, run: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was noted here of a reshard, if it was asked for during this run; else nothing."""
    started = float(run.get("started_at_unix_s") or 0)
    if not reshard or not 0 <= float(reshard["requested_unix_s"]) - started <= float(run.get("duration_s") or 0):
        return {}
    return reshard


def reshard_of(
    events: Iterable[Mapping[str, Any]], noted: Mapping[str, Any], started_at_unix_s: float
) -> dict[str, Any] | None:
    """The run's reshard: as `noted` by the command that asked for it, else as the master saw a `pulumi up` by hand."""
    if noted:
        at_s = round(float(noted["requested_unix_s"]) - started_at_unix_s, 3)
        return {"from": noted["from"], "to": noted["to"], "at_s": at_s, "migration": "ElastiCache"}
    told = list(events)
    requested = next((event for event in told if event.get("event") == "reshard.requested"), None)
    if requested is None:
        return None
    # The master's own first event does not know the target yet; after a failure AWS tells the shards of before.
    ends = ("reshard.requested", "slots.started", "reshard.finished")
    to = next((event["to"] for event in told if event.get("event") in ends and "to" in event), None)
    return {"from": requested.get("from"), "to": to, "at_s": requested.get("t_s"), "migration": "ElastiCache"}
