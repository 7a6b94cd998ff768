"""Can the run be trusted: each check with its number and its limit. Any that fails makes the run INVALID."""

from collections.abc import Sequence

from contract.runread import Run
from report.checks import comparison, delivery, machines, nodes, programs
from report.checks.check import RunCheck
from report.checks.sham_work import sham_work
from report.moves import PlayedMove
from report.windows import MoveWindows


def check_run(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> list[RunCheck]:
    """Every check, in the order in which a reader would ask."""
    checks = [
        *delivery.data(run),
        *delivery.schedule(run),
        *delivery.lag(run),
        *machines.saturation(run, windows),
        *programs.others(run, windows),
        *machines.environments(run),
        *machines.cold_starts(run, moves, windows),
        *delivery.audit(run),
        *nodes.agree(run),
        *machines.clocks(run),
    ]
    if windows is not None:
        checks += comparison.pairs(run, windows)
        checks += comparison.sham(run, windows)
        checks += comparison.room(windows)
    checks += sham_work(run, moves)
    checks += comparison.moves_ended(run, moves)
    return checks
