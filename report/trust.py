"""Can the run be trusted: each check with its number and its limit. Any that fails makes the run INVALID."""

from collections.abc import Sequence

from contract.runread import Run
from report.checks import (
    comparison,
    counts,
    delivery,
    described,
    machines,
    nodes,
    order,
    planned,
    programs,
    promises,
    recorded,
    single,
    stayed,
)
from report.checks.check import RunCheck
from report.checks.compared import stretches
from report.checks.remedies import with_remedy
from report.checks.sham_work import sham_work
from report.moves import PlayedMove
from report.windows import MoveWindows


def check_run(run: Run, moves: Sequence[PlayedMove], windows: MoveWindows | None) -> list[RunCheck]:
    """Every check, in the order in which a reader would ask."""
    compared = stretches(run, moves, windows)
    checks = [
        *promises.promises(run),
        *described.described(run),
        *delivery.data(run),
        *counts.counts(run),
        *planned.offered(run),
        *counts.latencies(run),
        *single.single_arrivals(run, moves),
        *order.events(run, moves),
        *delivery.schedule(run),
        *delivery.lag(run, compared),
        *machines.saturation(run, windows, compared),
        *programs.others(run, windows),
        *machines.environments(run),
        *machines.cold_starts(run, moves, windows),
        *recorded.recorded(run, compared),
        *stayed.nodes_stayed(run, compared),
        *stayed.workers_stayed(run, compared),
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
    return [with_remedy(check) for check in checks]
