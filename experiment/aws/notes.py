"""Keys of run.json that the load generator cannot know on AWS."""

from collections.abc import Mapping, Sequence
from typing import Any

from infra.settings import Settings, shown


def of_settings(settings: Settings, *, shards_at_start: int | None) -> dict[str, Any]:
    """The stack's settings without secrets; shardCount as it was when the run began."""
    engine, _, version = settings.cache_engine.partition(" ")
    began = {} if shards_at_start is None else {"shardCount": shards_at_start}
    return {
        "settings": {**shown(settings), **began},
        "engine": {"name": engine, "version": version},
        "function": {"memory_mb": settings.function_memory, "timeout_s": settings.function_timeout},
    }


def reshard_of(events: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """The run's reshard according to its events, whoever requested it; without unknown keys."""
    requested = next((event for event in events if event.get("event") == "reshard.requested"), None)
    if requested is None:
        return None
    # The master's own first event has no target yet; after a failure AWS reports the shards of before.
    ends = ("reshard.requested", "slots.started", "reshard.finished")
    to = next((event["to"] for event in events if event.get("event") in ends and "to" in event), None)
    reshard = {"from": requested.get("from"), "to": to, "at_s": requested.get("t_s"), "migration": "ElastiCache"}
    return {key: value for key, value in reshard.items() if value is not None}
