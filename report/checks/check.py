"""One check, with its number and its limit."""

from dataclasses import dataclass

PASS, WARN, FAIL, UNKNOWN = "pass", "warn", "fail", "unknown"


@dataclass(frozen=True)
class RunCheck:
    """One question about the run itself. `state` is pass, warn, fail or unknown; only fail makes the run INVALID."""

    name: str
    state: str
    value: str
    limit: str
    meaning: str
    remedy: str = ""  # what to do about it, for the next run; `report.checks.remedies` has them by name


def judged(name: str, good: bool, value: str, limit: str, meaning: str, *, otherwise: str = FAIL) -> RunCheck:
    """A check that passes if `good` and else is in the state `otherwise`."""
    return RunCheck(name, PASS if good else otherwise, value, limit, meaning)
