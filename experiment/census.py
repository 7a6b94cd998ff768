"""What the nodes hold: asked before the load, and after it, when the number of keys must fit what was written."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contract import growing
from contract.runfolder import read_run
from experiment.errors import ExperimentError

Ask = Callable[[], Mapping[str, Any]]


def keys_before(ask: Ask) -> int | None:
    """How many keys the cluster holds; None if it cannot be asked, which must not keep a load from starting."""
    try:
        keys: object = ask().get("keys")
    except ExperimentError:
        return None
    return keys if isinstance(keys, int) else None


def take(folder: Path, ask: Ask) -> dict[str, Any] | None:
    """Ask the nodes after the load; the content of `nodes` in audit.json, None where other data may be in the cluster.

    Every acknowledged session is one key, and so is every good reply of the warming. An arrival without a good reply
    may have written one: it was sent and failed, or a lost worker may have sent it.
    """
    run: dict[str, Any] = {**read_run(folder)}
    warmed: Mapping[str, Any] = run.get("warmed") or {}
    acknowledged = growing.acknowledged(folder)
    totals: Mapping[str, Any] = run.get("totals") or {}
    if not acknowledged and totals.get("ok"):
        return None  # the replies name no session: another application answered
    try:
        answer = ask()
    except ExperimentError as error:
        answer = {"error": str(error)}
    if "error" in answer or not {"keys", "values", "nodes", "problems"} <= answer.keys():
        return {"problems": [f"the nodes could not be asked: {answer.get('error') or str(dict(answer))[:200]}"]}
    before: object = run.get("keys_before")
    at_least = acknowledged + _whole(before) + _whole(warmed.get("sessions"))
    at_most = None
    if isinstance(before, int) and totals:
        unsure = _whole(totals.get("failed")) + _whole(totals.get("unknown"))
        at_most = acknowledged + before + _whole(warmed.get("requests")) + unsure
    return {
        **{name: answer[name] for name in ("keys", "values", "nodes")},
        "at_least": at_least,
        "at_most": at_most,
        "problems": [*answer["problems"], *_misfit(int(answer["keys"]), at_least, at_most)],
    }


def _misfit(keys: int, at_least: int, at_most: int | None) -> list[str]:
    if keys < at_least:
        return [f"the primaries hold {keys:,} keys, {at_least - keys:,} fewer than were written ({at_least:,})"]
    if at_most is not None and keys > at_most:
        return [f"the primaries hold {keys:,} keys, {keys - at_most:,} more than can have been written ({at_most:,})"]
    return []


def _whole(value: object) -> int:
    return value if isinstance(value, int) else 0
