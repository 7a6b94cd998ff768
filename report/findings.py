"""All that is worked out from a run, once: report.json, the charts and the pictures read it."""

from collections.abc import Sequence
from dataclasses import dataclass

from contract.runread import Run
from report import cycles, selftest, stalls
from report.checks.check import FAIL, RunCheck
from report.effect import Effect, effects
from report.moves import PlayedMove, find_moves, is_cycles
from report.trust import check_run
from report.windows import MoveWindows, windows_of


@dataclass(frozen=True)
class Findings:
    """A run and all that was worked out from it."""

    run: Run
    moves: Sequence[PlayedMove]
    windows: MoveWindows | None
    effects: Sequence[Effect]
    checks: Sequence[RunCheck]
    around: stalls.Around | None
    around_sham: stalls.Around | None
    cycles: cycles.CycleFindings | None
    selftest: selftest.SelfTest

    @property
    def usable(self) -> bool:
        """Whether the run's latencies may be used: it is not INVALID."""
        return not self.reasons

    @property
    def reasons(self) -> list[str]:
        """Why the run is INVALID; empty when it is not."""
        return [f"{check.name}: {check.value}" for check in self.checks if check.state == FAIL]


def examine(run: Run) -> Findings:
    """Work everything out."""
    moves = find_moves(run)
    windows = None if is_cycles(moves) else windows_of(run, moves)
    found = cycles.analyse(run, moves) if is_cycles(moves) else None
    itself = selftest.examine(run, moves, windows, found)
    return Findings(
        run=run,
        moves=moves,
        windows=windows,
        effects=effects(run, windows) if windows else [],
        checks=[*check_run(run, moves, windows), *itself.checks],
        around=stalls.around(run, windows.move) if windows else None,
        around_sham=stalls.around(run, windows.sham) if windows and windows.sham else None,
        cycles=found,
        selftest=itself,
    )
