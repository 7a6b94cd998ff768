"""What to do after a run: report.json's `next`."""

from collections.abc import Mapping
from typing import Any

from report import recovery
from report.checks.check import FAIL

_INTERVAL = {
    "rehearsal": "For an effect with an interval, let slots move many times: python -m rehearsal --cycles 12",
    "aws": "One event cannot be told from chance: repeat the experiment before you decide by its differences.",
}


def advice(report: Mapping[str, Any]) -> list[str]:
    """Sentences, the most pressing first. Of an INVALID run: what to do about each check that failed."""
    said: list[str] = []
    sessions = report["audit"]
    if sessions is not None and (sessions["missing"] or sessions["different"]):
        said.append("Find out why sessions were lost or changed: audit.json has examples.")
    if not report["valid"]:
        failed = [check for check in report["checks"] if check["state"] == FAIL and check["remedy"]]
        return [*said, *(f"{check['name']}: {check['remedy']}." for check in failed)]
    if report["failed"] or report["missed"] or report["unknown"]:
        said.append("See Failures in report.html for causes and examples.")
    headline = report["headline"]
    if headline is not None:
        if headline["control"] is None:
            said.append("For a control, use a profile with two phases of the same length and rates.")
        if headline["back_to_normal"]["state"] in (recovery.NOT_SEEN, recovery.UNKNOWN):
            said.append(
                "To see the end of it, leave more time after the move: a smaller --load-compress, or a longer phase."
            )
        said += [_INTERVAL[report["where"]]] if report["where"] in _INTERVAL else []
    elif report["reshard"] is None and not report["cycles"] and report["where"] in _INTERVAL:
        said.append("To see what adding a shard does, run with a reshard.")
    return said
