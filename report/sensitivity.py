"""The smallest effect that a run could have seen.

Of one move it is a rule of thumb from the quiet seconds: how much the next event would differ, one event cannot tell.
Of cycles it is the effect that is found with power 0.8 at the 0.05 level, from the spread of the blocks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from contract.runread import Run
from report import measures, student
from report.cycles import CycleFindings
from report.inference import ALPHA, LEAST_BLOCKS
from report.measures import Floats
from report.quiet import Quiet
from report.series import autocorrelation, inflation
from report.stalls import slow_ms
from report.windows import MoveWindows

POWER = 0.8
LEAST_QUIET_S, LEAST_BEFORE_S = 10, 3
_MOST_BLOCKS = 10_000


@dataclass(frozen=True)
class Smallest:
    """Of one outcome. `half_blocks`: blocks that would show half of it; None of one move, whose spread is unknown."""

    outcome: str
    unit: str
    value: float
    half_blocks: int | None


@dataclass(frozen=True)
class Sensitivity:
    """`how` is "one move" or "cycles"; `why` says why nothing can be told."""

    how: str
    rows: Sequence[Smallest]
    why: str = ""


def of_one_move(run: Run, windows: MoveWindows, quiet: Quiet) -> Sensitivity:
    """What stands out of the quiet seconds: (t(0.975) + t(0.8)) * s * sqrt(F * (1/L + 1/B)).

    s: standard deviation of their d (of each state about its own mean); L, B: seconds during and before the move;
    F = (1 + r) / (1 - r), r their autocorrelation at lag 1; t with n / F - states degrees of freedom.
    """
    p99 = measures.per_second_ms(run, "response", 0.99)
    offered = np.maximum(run.seconds["offered"], 1)
    slow = (run.latency["response"].above(slow_ms(run) * 1000) + _limited(run)) / offered
    during, before = int(windows.during.sum()), int(windows.before.sum())
    rows: list[Smallest] = []
    if before < LEAST_BEFORE_S or not during:
        return Sensitivity("one move", rows, f"{before} s before the move, {LEAST_BEFORE_S} are needed")
    for outcome, unit, per_second in (("response.p99", "ms", p99), ("response.slow", "share", slow)):
        values = quiet.values(per_second)
        known = np.isfinite(values)
        n = int(known.sum())
        if n < LEAST_QUIET_S:
            return Sensitivity(
                "one move", [], f"{n} quiet seconds can be compared at an equal rate, {LEAST_QUIET_S} are needed"
            )
        state = quiet.state[known]
        rest = values[known]
        for name in np.unique(state):
            rest[state == name] -= rest[state == name].mean()
        states = len(np.unique(state))
        factor = inflation(autocorrelation(values[known], quiet.t_s[known], state).first)
        degrees = max(n / factor - states, 1.0)
        s = math.sqrt(float((rest**2).sum()) / max(n - states, 1))
        arrivals = int(run.seconds["offered"][windows.during].sum())
        if s > 0:
            reach = student.t_quantile(1 - ALPHA / 2, degrees) + student.t_quantile(POWER, degrees)
            rows.append(Smallest(outcome, unit, reach * s * math.sqrt(factor * (1 / during + 1 / before)), None))
        elif arrivals and unit == "share":
            # No quiet second had a slow arrival: of a share of 3/n at least one is seen in 95 % (the rule of three).
            rows.append(Smallest(outcome, unit, min(1.0, 3 / arrivals), None))
    return Sensitivity("one move", rows)


def _limited(run: Run) -> Floats:
    """Arrivals of each second without a good reply: they count as the time limit."""
    return measures.no_good_reply(run).astype(np.float64) * float(run.time_limit_us > slow_ms(run) * 1000)


def of_cycles(found: CycleFindings) -> Sensitivity:
    """The smallest effect found with power 0.8 on each outcome that has an interval, and the blocks for half of it."""
    rows: list[Smallest] = []
    for outcome in found.outcomes:
        interval, blocks = outcome.conclusion.interval, outcome.conclusion.blocks
        if interval is not None:
            smallest = noncentrality(interval.degrees) * interval.error
            half = blocks_for(smallest / 2, interval.error * math.sqrt(blocks), int(blocks - interval.degrees))
            rows.append(Smallest(outcome.name, outcome.unit, smallest, half))
    why = "" if rows else f"no interval is told, so no spread is known; intervals need {LEAST_BLOCKS} whole blocks"
    return Sensitivity("cycles", rows, why)


def blocks_for(effect: float, s: float, directions: int) -> int | None:
    """The smallest even number of blocks with which the effect is found, if d spreads by s about its direction."""
    for blocks in range(max(LEAST_BLOCKS, 2 * directions), _MOST_BLOCKS, 2):
        if noncentrality(blocks - directions) * s / math.sqrt(blocks) <= effect * (1 + 1e-9):
            return blocks
    return None


def noncentrality(degrees: float, power: float = POWER) -> float:
    """Effect by standard error with which a two-sided t-test at ALPHA has the power, by bisection."""
    low, high = 0.0, 2.0
    while t_power(high, degrees) < power:
        high *= 2
    while high - low > 1e-7:
        middle = (low + high) / 2
        low, high = (middle, high) if t_power(middle, degrees) < power else (low, middle)
    return (low + high) / 2


def t_power(effect: float, degrees: float) -> float:
    """P(T > t(0.975)), T being noncentral t (Johnson, Kotz, Balakrishnan, Continuous Univariate Distributions 2, 31).

    T = (Z + effect) / sqrt(W / v) with W chi-squared of v degrees: the mean of P(Z > c * sqrt(W / v) - effect) over
    U = sqrt(W / v). The other tail is below 0.001 wherever the power is 0.5 or more.
    """
    critical = student.t_quantile(1 - ALPHA / 2, degrees)
    spread = 8 / math.sqrt(2 * degrees)
    u = np.linspace(max(1e-9, 1 - spread), 1 + spread, 1001)
    log_density = (degrees - 1) * np.log(u) - degrees * u * u / 2
    weight = np.exp(log_density - log_density.max())
    above = np.array([math.erfc((critical * each - effect) / math.sqrt(2)) / 2 for each in u.tolist()])
    return float((weight * above).sum() / weight.sum())
