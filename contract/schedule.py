"""When each arrival is planned: pure arithmetic, no clock, no list of a million floats.

Let L(t) be the integral of the rate (arrivals) from the start to t (seconds). Within a phase that starts at s with rate
r0, ends after d seconds with rate r1, and has slope a = (r1 - r0) / d:

    L(t) = L(s) + r0 (t - s) + a (t - s)^2 / 2

Uniform arrivals: number k (from 0) is planned at the t where L(t) = k + 1/2, so a phase whose area is a whole number
holds exactly that many arrivals, none on its edges, and the count until t never differs from L(t) by more than one
half. With x = k + 1/2 - L(s):

    t - s = 2 x / (r0 + sqrt(r0^2 + 2 a x))

which is the quadratic's root in the form that does not cancel when a is near 0.

Poisson arrivals: within a phase the same map of a unit-rate process, whose gaps are exponential; drawn in blocks of
1024 expected arrivals with a generator seeded by (seed, phase, block), so any block can be drawn again by any worker,
and all agree. A phase with the length and rates of an earlier one repeats that one's draw, arrival for arrival: what is
compared with its control phase, second by second, then differs in what happened, not in how many arrivals the dice
gave (at 60/s they alone move a 6 s window's count by 5 %). Each phase by itself is still a Poisson process.
"""

import math
import random
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from contract.profiles import Profile

_BLOCK = 1024  # expected arrivals a block of the Poisson process


@dataclass(frozen=True)
class PlannedPhase:
    """A phase with its place in the run."""

    index: int
    name: str
    start_s: float
    duration_s: float
    rate_from: float
    rate_to: float
    arrivals: int
    first_k: int

    @property
    def end_s(self) -> float:
        """Where the next phase starts."""
        return self.start_s + self.duration_s


@dataclass(frozen=True)
class _Block:
    """A part of a phase whose Poisson arrivals are drawn together."""

    phase: int  # the first phase with the same length and rates
    place: int  # in its own phase, from 0
    area: float  # expected arrivals


class Schedule:
    """The planned time of every arrival of a profile."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        starts = [Fraction(0)]  # s of each phase
        areas = [Fraction(0)]  # L(s) of each phase
        for phase in profile.phases:
            starts.append(starts[-1] + phase.duration_s)
            areas.append(areas[-1] + phase.area)
        self.duration_s = float(starts[-1])
        self._blocks: list[_Block] = []
        self._block_edges = [0]  # Poisson: arrivals before each block, and after the last one
        self._drawn: tuple[int, list[float]] = (-1, [])
        if profile.arrivals == "poisson":
            edges = self._draw_counts()
        else:
            # number k belongs before an edge at area A if k + 1/2 < A (an edge on a half itself belongs to the next
            # phase)
            edges = [max(0, math.ceil(area - Fraction(1, 2))) for area in areas]
        self.total = edges[-1]
        self._edges = edges
        self.phases = tuple(
            PlannedPhase(
                index,
                phase.name,
                float(starts[index]),
                float(phase.duration_s),
                float(phase.rate_from),
                float(phase.rate_to),
                edges[index + 1] - edges[index],
                edges[index],
            )
            for index, phase in enumerate(profile.phases)
        )
        # x of arrival k is (k - first_k) + offset: the offset is small, so no precision is lost late in a long run
        self._offsets = [float(Fraction(edges[i]) + Fraction(1, 2) - areas[i]) for i in range(len(profile.phases))]
        # The first k of each second, filled as asked for: both sides of a run ask for the same seconds again and again.
        self._before: dict[int, int] = {}

    def planned_s(self, k: int) -> float:
        """The planned time of arrival k, in seconds from the start."""
        if not 0 <= k < self.total:
            raise IndexError(f"arrival {k} of {self.total}")
        index = bisect_right(self._edges, k, hi=len(self.phases)) - 1
        phase = self.phases[index]
        if self._blocks:
            return self._in_phase(phase, self._poisson_area(k))
        return self._in_phase(phase, k - phase.first_k + self._offsets[index])

    def times(self, first: int, until: int, step: int = 1) -> Iterator[tuple[int, float]]:
        """(k, planned time) for k = first, first + step, ... below `until`."""
        for k in range(first, min(until, self.total), step):
            yield k, self.planned_s(k)

    def count_before(self, t_s: float) -> int:
        """How many arrivals are planned before t, agreeing exactly with `planned_s`."""
        if t_s <= 0:
            return 0
        if t_s >= self.duration_s:
            return self.total
        whole = int(t_s)
        if t_s == whole:
            if whole not in self._before:
                self._before[whole] = self._count_before(t_s)
            return self._before[whole]
        return self._count_before(t_s)

    def phase_at(self, t_s: float) -> PlannedPhase:
        """The phase that t falls into; the last one from the end on."""
        starts = [phase.start_s for phase in self.phases]
        return self.phases[max(0, bisect_right(starts, t_s) - 1)]

    def _count_before(self, t_s: float) -> int:
        # Find the first k with planned_s(k) >= t inside the phase of t: planned_s rises with k, so bisection is exact
        # whatever the rounding.
        phase = self.phase_at(t_s)
        low, high = phase.first_k, phase.first_k + phase.arrivals
        if not self._blocks:  # the inverse is known to within rounding: look nearby first
            index = phase.index
            elapsed = t_s - phase.start_s
            slope = (phase.rate_to - phase.rate_from) / phase.duration_s
            guess = phase.first_k + math.ceil(
                phase.rate_from * elapsed + slope * elapsed * elapsed / 2 - self._offsets[index]
            )
            near_low, near_high = max(low, guess - 2), min(high, guess + 2)
            if near_low < near_high:
                if near_low == low or self.planned_s(near_low - 1) < t_s:
                    low = near_low
                if near_high == high or self.planned_s(near_high) >= t_s:
                    high = near_high
        while low < high:
            middle = (low + high) // 2
            if self.planned_s(middle) < t_s:
                low = middle + 1
            else:
                high = middle
        return low

    @staticmethod
    def _in_phase(phase: PlannedPhase, x: float) -> float:
        slope = (phase.rate_to - phase.rate_from) / phase.duration_s
        root = phase.rate_from + math.sqrt(max(0.0, phase.rate_from * phase.rate_from + 2 * slope * x))
        elapsed = 2 * x / root if root > 0 else 0.0  # a ramp from nothing, at its very start
        # Rounding may reach the edge by one unit in the last place; the arrival belongs before it.
        return min(phase.start_s + max(elapsed, 0.0), math.nextafter(phase.end_s, 0.0))

    def _draw_counts(self) -> list[int]:
        """Cut every phase into blocks and count their arrivals; the arrivals before each phase's start, and all."""
        edges = [0]
        phases = self.profile.phases
        for phase in phases:
            alike = next(
                place
                for place, other in enumerate(phases)
                if (other.duration_s, other.rate_from, other.rate_to)
                == (phase.duration_s, phase.rate_from, phase.rate_to)
            )
            area = float(phase.area)
            for place in range(math.ceil(area / _BLOCK)):
                self._blocks.append(_Block(alike, place, min(_BLOCK, area - place * _BLOCK)))
                self._block_edges.append(self._block_edges[-1] + len(self._draw(len(self._blocks) - 1)))
            edges.append(self._block_edges[-1])
        return edges

    def _draw(self, at: int) -> list[float]:
        """The areas of a block's arrivals, from the start of the block."""
        if self._drawn[0] != at:
            block = self._blocks[at]
            seed = f"{self.profile.seed} {block.phase} {block.place}"
            draw = random.Random(seed).random  # noqa: S311 - a schedule that can be drawn again is no secret
            areas: list[float] = []
            area = -math.log(1.0 - draw())
            while area < block.area:
                areas.append(area)
                area -= math.log(1.0 - draw())
            self._drawn = (at, areas)
        return self._drawn[1]

    def _poisson_area(self, k: int) -> float:
        """The area from the start of arrival k's phase to the arrival."""
        at = bisect_right(self._block_edges, k) - 1
        return self._blocks[at].place * _BLOCK + self._draw(at)[k - self._block_edges[at]]
