"""What the audit after the run found of the sessions that were acknowledged."""

from dataclasses import dataclass

from contract.runread import Run, number


@dataclass(frozen=True)
class Sessions:
    """Counts of sessions. `expected`: acknowledged by the load, as its list and the audit count them."""

    complete: bool
    acknowledged: int
    expected: int
    checked: int
    missing: int
    different: int

    @property
    def lost(self) -> int | None:
        """Sessions missing or different; None if not every expected session was read back, or none was."""
        whole = self.complete and self.checked >= self.expected > 0
        return self.missing + self.different if whole else None


def sessions_of(run: Run) -> Sessions | None:
    """None if there was no audit."""
    if run.audit is None:
        return None
    acknowledged, checked, missing, different = (
        int(number(run.audit.get(name), 0.0)) for name in ("acknowledged", "checked", "missing", "different")
    )
    expected = max(run.sessions, acknowledged)
    return Sessions(run.audit.get("complete") is True, acknowledged, expected, checked, missing, different)
