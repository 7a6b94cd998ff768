"""How often the 95 % interval of a run of cycles held the true mean, in simulation, where its assumptions do not hold.

Made by `python -m benchmarks.coverage --tables`: 10,000 experiments for each row, through `report.inference`. In SKEW
d is lognormal, with sigma 0, 0.25, 0.5, 0.73, 1, 1.5, 2; in SPREAD it is normal, with a standard deviation in one
direction 1, 2, 4, 10 times that in the other.
"""

import bisect
from collections.abc import Mapping, Sequence

LEAST = 0.93
"""With a lower coverage more blocks are asked for."""
Table = Mapping[int, Sequence[tuple[float, float]]]
"""By the number of blocks: what the experiments showed (their median), and how often the interval held the mean."""

SKEW: Table = {
    8: ((0.36, 0.951), (0.4, 0.943), (0.52, 0.919), (0.65, 0.891), (0.83, 0.843), (1.07, 0.707), (1.21, 0.562)),
    12: ((0.35, 0.951), (0.42, 0.942), (0.63, 0.922), (0.86, 0.894), (1.11, 0.855), (1.51, 0.727), (1.79, 0.583)),
    20: ((0.3, 0.947), (0.47, 0.944), (0.86, 0.925), (1.22, 0.906), (1.57, 0.871), (2.13, 0.767), (2.52, 0.628)),
    30: ((0.26, 0.95), (0.52, 0.946), (1.02, 0.937), (1.42, 0.915), (1.9, 0.88), (2.59, 0.793), (3.13, 0.659)),
}  # fmt: skip
SPREAD: Table = {
    8: ((1.54, 0.952), (2.08, 0.942), (3.99, 0.924), (9.9, 0.907)),
    12: ((1.39, 0.95), (2.01, 0.946), (4.02, 0.932), (9.94, 0.926)),
    20: ((1.26, 0.95), (2.0, 0.949), (4.01, 0.941), (10.01, 0.934)),
    30: ((1.2, 0.952), (2.01, 0.949), (4.02, 0.947), (9.99, 0.941)),
}  # fmt: skip


def of_interval(blocks: int, skew: float, spread: float) -> tuple[float, str]:
    """The coverage found for d of such a skew and spread, and which of the two it is due to."""
    found = [(_row(SKEW, blocks, abs(skew)), "skew"), (_row(SPREAD, blocks, spread), "spread")]
    return min(found)


def _row(table: Table, blocks: int, shown: float) -> float:
    """Of the largest number of blocks in the table that is not above `blocks`, the row of the value at or below."""
    rows = table[max((count for count in table if count <= blocks), default=min(table))]
    place = bisect.bisect_right([value for value, _ in rows], shown) - 1
    return rows[max(place, 0)][1]
