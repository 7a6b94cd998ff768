"""Did other programs use the machine while the rehearsal ran?"""

from collections.abc import Iterator

import numpy as np

from contract.runread import Run, number
from report.checks.check import FAIL, PASS, WARN, RunCheck
from report.checks.promises import absent
from report.measures import Floats
from report.windows import MoveWindows, load_end_s

OTHERS_10S = 0.25
"""Of all cores, in any ten seconds of the phases compared."""
OTHERS_APART = 0.10
"""Of all cores: how far the means of the move and of its control may lie apart."""
_WIDTH_S = 10


def others(run: Run, windows: MoveWindows | None) -> Iterator[RunCheck]:
    """Other programs left the machine to the rehearsal, and used it alike during the move and in its control."""
    if run.text("where") != "rehearsal":
        return
    limit = f"<= {OTHERS_10S:.0%} of the cores in any {_WIDTH_S} s; move and control <= {OTHERS_APART:.0%} apart"
    table = _by_second(run)
    if not len(table):
        yield RunCheck("Other programs", absent(run, "machine"), "not recorded", limit, "")
        return
    t_s, used, own = table.T
    compared = np.ones(len(table), dtype=np.bool_)
    if windows is not None:
        phases = [phase for phase in (windows.phase, windows.control) if phase]
        compared = np.any([(t_s >= phase.start_s) & (t_s < phase.end_s) for phase in phases], axis=0)
    busy = _stretch(used[compared])
    cores = run.table("machine").get("cores")
    apart = _apart(run, windows, t_s, used)
    told = [
        f"other programs used {_cores(used[compared][busy].mean(), cores)} for {int(busy.sum())} s"
        if busy.any()
        else f"at most {_cores(_means(used[compared]).max(initial=0.0), cores)} in any {_WIDTH_S} s",
        *([f"{_cores(apart[0], cores)} during the move, {_cores(apart[1], cores)} in its control"] if apart else []),
        f"the rehearsal itself used {_cores(own[compared].mean() if compared.any() else 0.0, cores)} on average",
    ]
    unequal = apart is not None and abs(apart[0] - apart[1]) > OTHERS_APART
    # In a run of cycles the order of moves is random, so what others used falls on real moves and shams alike.
    worse = WARN if windows is None else FAIL
    state = worse if busy.any() or unequal else PASS
    meaning = "What other programs take from the cores slows the rehearsal; it cannot be told from an effect."
    yield RunCheck("Other programs", state, "; ".join(told), limit, meaning)


def _by_second(run: Run) -> Floats:
    """Rows of time, what others used and what the rehearsal used; the shares of all cores, under load."""
    rows = [
        (number(row.get("t_s")), number(row.get("cpu_busy")), number(row.get("cpu_own")))
        for row in run.servers
        if row.get("node") == "machine"
    ]
    table = np.array(rows, dtype=np.float64).reshape(-1, 3)
    table = table[np.isfinite(table).all(axis=1)]
    table = table[(table[:, 0] >= 0) & (table[:, 0] < load_end_s(run))]
    return np.column_stack([table[:, 0], np.clip(table[:, 1] - table[:, 2], 0.0, 1.0), table[:, 2]])


def _means(used: Floats) -> Floats:
    width = min(_WIDTH_S, len(used))
    return np.convolve(used, np.ones(width) / width, "valid") if width else np.zeros(0)


def _stretch(used: Floats) -> np.ndarray:
    """The longest stretch in which every ten seconds are above the limit, from its first such row to its last."""
    above = _means(used) > OTHERS_10S
    width = len(used) - len(above) + 1
    rows = np.zeros(len(used), dtype=np.bool_)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    if len(edges):
        begins, ends = edges[::2], edges[1::2]
        longest = int(np.argmax(ends - begins))
        high = np.flatnonzero(used[begins[longest] : ends[longest] + width - 1] > OTHERS_10S) + begins[longest]
        rows[high[0] : high[-1] + 1] = True
    return rows


def _apart(run: Run, windows: MoveWindows | None, t_s: Floats, used: Floats) -> tuple[float, float] | None:
    """The means during the move and in its control; None if either holds under ten seconds."""
    if windows is None or windows.control is None:
        return None
    second = np.floor(t_s)
    parts = [used[np.isin(second, run.seconds.t_s[rows])] for rows in (windows.during, windows.control_rows("during"))]
    if min(len(part) for part in parts) < _WIDTH_S:
        return None
    return float(parts[0].mean()), float(parts[1].mean())


def _cores(share: float, cores: object) -> str:
    count = number(cores)
    return f"{share:.0%} of the cores" if not count > 0 else f"{share * count:.1f} of {count:.0f} cores"
