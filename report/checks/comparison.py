"""Can the reshard be compared with its control, and did it happen under load?"""

import math
from collections.abc import Iterator, Sequence

from contract.runread import Run
from report.checks.check import FAIL, WARN, RunCheck, judged
from report.checks.promises import absent
from report.moves import PlayedMove
from report.windows import MoveWindows, load_end_s

PAIR_RATE_SHARE = 0.01
SHAM_COVER_SHARE = 0.8
EDGE_SHARE = 0.10


def pairs(run: Run, windows: MoveWindows) -> Iterator[RunCheck]:
    """Every compared second has its control second, at the same rate."""
    if windows.control is None:
        yield RunCheck(
            "Pairs comparable", WARN, "no earlier phase has the same rates", "a control phase",
            "Without a control, the move can only be compared with the seconds before and after it.",
        )  # fmt: skip
        return
    sent = run.seconds["sent"]
    apart: list[str] = []
    worst = 0.0
    for name in ("before", "during", "after"):
        window = windows.rows(name) & (windows.control_row >= 0)
        here, there = int(sent[window].sum()), int(sent[windows.control_row[window]].sum())
        if max(here, there):
            difference = abs(here - there) / max(here, there)
            worst = max(worst, difference)
            if difference > PAIR_RATE_SHARE:
                apart.append(f"{name} {difference:.1%}")
    unpaired = int((windows.before | windows.during | windows.after).sum()) - int(
        ((windows.before | windows.during | windows.after) & (windows.control_row >= 0)).sum()
    )
    value = f"rates differ by {worst:.2%} at most" + (f" ({', '.join(apart)})" if apart else "")
    yield judged(
        "Pairs comparable",
        not apart and not unpaired,
        value + (f"; {unpaired} second(s) without a control second" if unpaired else ""),
        f"<= {PAIR_RATE_SHARE:.0%} in each window",
        "Two seconds can be compared only if their rates are equal.",
    )


def sham(run: Run, windows: MoveWindows) -> Iterator[RunCheck]:
    """A sham ran in the control while slots moved in the reshard's phase."""
    if windows.control is None:
        return
    limit = f"a sham during >= {SHAM_COVER_SHARE:.0%} of the paired seconds"
    meaning = "Without a sham, the control lacks what moving slots costs this machine."
    if windows.sham is None:
        yield RunCheck("Sham in the control", absent(run, "sham"), "no sham ran", limit, meaning)
        return
    rows = windows.control_row[windows.during]
    times = run.seconds.t_s[rows[rows >= 0]]
    end = windows.sham.finished_s if windows.sham.finished_s is not None else math.inf
    covered = ((times + 1 > windows.sham.started_s) & (times < end)).sum()
    share = float(covered) / max(len(times), 1)
    yield judged("Sham in the control", share >= SHAM_COVER_SHARE, f"{share:.0%}", limit, meaning, otherwise=WARN)


def room(windows: MoveWindows) -> Iterator[RunCheck]:
    """The phase has enough seconds before and after the move."""
    phase, move = windows.phase, windows.move
    before = (move.requested_s - phase.start_s) / phase.duration_s
    end = move.finished_s
    after = 0.0 if end is None else max(phase.end_s - end, 0.0) / phase.duration_s
    yield judged(
        "Room around the move",
        before >= EDGE_SHARE - 0.005 and after >= EDGE_SHARE,
        f"{before:.0%} of the phase before, {after:.0%} after",
        f">= {EDGE_SHARE:.0%} of the phase before and after",
        "A comparison needs seconds before and after the move.",
        otherwise=WARN,
    )


def moves_ended(run: Run, moves: Sequence[PlayedMove]) -> Iterator[RunCheck]:
    """A declared reshard was played, did not fail, and moved its last slot under load."""
    real = [move for move in moves if move.kind == "real"]
    if not real:
        if run.table("reshard"):
            yield RunCheck(
                "Reshard played", FAIL, "run.json declares a reshard, but the reshard never started", "as declared", ""
            )
        return
    end = load_end_s(run)
    open_ended = [move for move in real if move.finished_s is None or move.finished_s > end]
    failed = [move for move in real if move.error]
    value = "all slots moved under load"
    if failed:
        value = f"a reshard failed: {failed[0].error[:200]}"
    elif open_ended:
        value = "slots were still moving when the load ended"
    yield judged(
        "Reshard finished under load", not open_ended and not failed, value, "all slots moved before the load ends",
        "Slots that moved after the load ended were not measured.", otherwise=FAIL if failed else WARN,
    )  # fmt: skip
