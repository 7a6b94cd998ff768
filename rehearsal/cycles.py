"""How a run of `--cycles` is laid out on this machine: how long each part takes, and so how long the load lasts."""

import math
import secrets
from fractions import Fraction

from contract.schedule import Schedule
from experiment.errors import OptionsError
from experiment.plan import Blocks
from rehearsal.cluster import SLOTS

PROFILE = "steady"
LEAST = 4
FOR_AN_INTERVAL = 8
# Seconds. Nodes start and join in 2.1 s on an idle machine.
JOINING_S = 2.2
_FLANK_S = 10.0
_PREPARING_S = 6.0
# All slots in one job, until they change their owner: 0.4 to 0.7 s with 2,000 to 20,000 keys.
_UNPACED_S = 0.9
# Beside that: nodes agree on who owns the slots, and those that leave are ended.
_WINDOW_MARGIN_S = 4.0
# Written in 1 s by this machine's two cores beside the load: 20,000.
_FILLED_PER_S = 10_000.0
_SETTLING_S = 3.0
_LONGEST_S = 12_000.0
# Chance decides which keys lie in the slots that move. Of 6,000 in the cluster their share varies by 1.3 % (standard
# deviation), of 2,000 by 2.2 %, and more than 5 % between the moves of a block makes the run INVALID.
_FIRST_KEYS = 6_000
_LONGEST_LEAD_S = 120.0


def moving_s(shards: tuple[int, int], slots_per_s: float | None) -> float:
    """How long the slots of one move take at their pace, or without one."""
    if slots_per_s is None:
        return _UNPACED_S
    few, many = sorted(shards)
    return math.ceil(SLOTS * (many - few) / many) / slots_per_s


def lay_out(
    count: int, seed: int | None, schedule: Schedule, *, shards: tuple[int, int], slots_per_s: float | None
) -> Blocks:
    """The blocks of `--cycles count`, at the constant rate of `schedule`.

    Raises:
        OptionsError: `count` is odd or too small, or the rate is not constant.
    """
    if count < LEAST or count % 2:
        raise OptionsError(
            f"--cycles {count}: must be an even number from {LEAST}, for both directions are moved equally often; "
            f"from {FOR_AN_INTERVAL} on there are intervals"
        )
    rates = {rate for phase in schedule.phases for rate in (phase.rate_from, phase.rate_to)}
    if len(rates) != 1:
        raise OptionsError(
            f"--cycles needs a constant rate; profile {schedule.profile.name!r} goes from {min(rates):g} to "
            f"{max(rates):g} arrivals/s: use --load-profile {PROFILE}"
        )
    moving = moving_s(shards, slots_per_s)
    window_s = math.ceil(2 * (moving * 1.05 + _WINDOW_MARGIN_S)) / 2
    [rate] = rates
    block_s = 3 * _FLANK_S + 2 * (_PREPARING_S + window_s) + _SETTLING_S
    filling_s = math.ceil(_SETTLING_S + rate * block_s / (_FILLED_PER_S - min(rate, _FILLED_PER_S / 2)))
    lead_s = _FIRST_KEYS / max(rate, 1.0) - (filling_s + _FLANK_S + _PREPARING_S)
    return Blocks(
        count=count,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        rate=rate,
        filling_s=filling_s,
        flank_s=_FLANK_S,
        preparing_s=_PREPARING_S,
        window_s=window_s,
        moving_s=moving,
        lead_s=min(max(0.0, math.ceil(lead_s)), _LONGEST_LEAD_S),
    )


def compression(blocks: Blocks, schedule: Schedule) -> str:
    """The loadCompress with which the shipped profile lasts as long as the blocks.

    Raises:
        OptionsError: they need longer than it can be stretched to.
    """
    if blocks.duration_s > _LONGEST_S:
        raise OptionsError(
            f"--cycles {blocks.count} takes {blocks.duration_s:,.0f} s, {blocks.block_s:.0f} s a block; "
            f"at most {_LONGEST_S:,.0f} s: fewer cycles"
        )
    shrink = schedule.profile.compress * Fraction(schedule.duration_s) / Fraction(blocks.duration_s)
    return f"{math.floor(shrink * 10_000) / 10_000:.4f}"


def check_length(blocks: Blocks, schedule: Schedule) -> None:
    """Refuse a load that ends before the last block.

    Raises:
        OptionsError: with both lengths.
    """
    if schedule.duration_s < blocks.duration_s:
        raise OptionsError(
            f"--cycles {blocks.count} takes {blocks.duration_s:,.0f} s, {blocks.block_s:.0f} s a block; profile "
            f"{schedule.profile.name!r} lasts {schedule.duration_s:,.0f} s: fewer cycles, a longer profile, or a "
            "smaller --load-compress"
        )
