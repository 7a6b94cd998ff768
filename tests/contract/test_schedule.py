"""The schedule: exact counts, exact split, times that match the integral."""

import itertools
import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.profiles import Profile, ProfilePhase, load
from contract.schedule import Schedule

rates = st.one_of(st.just(0), st.integers(0, 400), st.fractions(0, 50, max_denominator=50)).map(Fraction)
profiles = st.builds(
    Profile,
    st.just("p"),
    st.just(""),
    st.lists(
        st.builds(ProfilePhase, st.just("phase"), st.fractions(Fraction(1, 4), 20, max_denominator=30), rates, rates),
        min_size=1,
        max_size=4,
    ).map(tuple),
    st.sampled_from(["uniform", "poisson"]),
    st.integers(0, 99),
).filter(lambda profile: 1 <= sum(phase.area for phase in profile.phases) < 1200)


def test_the_originals_phases_give_exactly_its_arrivals() -> None:
    """102,000 + 105,000 + 102,000 a load task, three times that at the default scale."""
    assert [phase.arrivals for phase in Schedule(load("artillery-50min")).phases] == [102_000, 105_000, 102_000]
    whole = Schedule(load("artillery-50min", scale=3))
    assert ([phase.arrivals for phase in whole.phases], whole.total) == ([306_000, 315_000, 306_000], 927_000)
    assert max(whole.count_before(second + 1) - whole.count_before(second) for second in range(3000)) == 899


@pytest.mark.parametrize(("compress", "expected"), [(15, 61_800), (10, 92_700), (7, 132_428)])
def test_compression_keeps_the_rates(compress: int, expected: int) -> None:
    """Durations shrink, counts with them, the peak stays."""
    schedule = Schedule(load("artillery-50min", scale=3, compress=compress))
    assert abs(schedule.total - expected) <= 1
    peak = schedule.phases[1].first_k + schedule.phases[1].arrivals - 1
    assert 1 / (schedule.planned_s(peak) - schedule.planned_s(peak - 1)) == pytest.approx(900, rel=0.01)


@settings(max_examples=40)
@given(profiles)
def test_times_are_sorted_inside_their_phase_and_match_the_integral(profile: Profile) -> None:
    """Arrival k is planned where the integral of the rate passes k + 1/2 (uniform), never outside its phase."""
    schedule = Schedule(profile)
    times = [t_s for _, t_s in schedule.times(0, schedule.total)]
    assert times == sorted(times)
    assert sum(phase.arrivals for phase in schedule.phases) == schedule.total
    for phase in schedule.phases:
        inside = times[phase.first_k : phase.first_k + phase.arrivals]
        assert all(phase.start_s <= t_s < phase.end_s for t_s in inside)
    if profile.arrivals == "uniform":
        area = Fraction(0)
        for phase, planned in zip(profile.phases, schedule.phases, strict=True):
            for k in range(planned.first_k, planned.first_k + planned.arrivals, 7):
                x = times[k] - planned.start_s
                slope = (planned.rate_to - planned.rate_from) / planned.duration_s
                integral = float(area) + planned.rate_from * x + slope * x * x / 2
                assert abs(integral - (k + 0.5)) < 1e-3
            area += phase.area
        assert abs(schedule.total - float(area)) <= 0.5 + 1e-9


@settings(max_examples=40)
@given(profiles, st.integers(1, 7), st.data())
def test_the_sum_over_workers_is_the_whole(profile: Profile, workers: int, data: st.DataObject) -> None:
    """Slots k mod n share the schedule exactly, and counting by seconds agrees with the single times."""
    schedule = Schedule(profile)
    shared = sorted(
        pair for slot in range(workers) for pair in schedule.times(slot, schedule.total, workers)
    )  # fmt: skip
    assert shared == list(schedule.times(0, schedule.total))
    t_s = data.draw(st.floats(-1, schedule.duration_s + 1))
    for moment in (t_s, float(math.floor(t_s))):
        assert schedule.count_before(moment) == sum(1 for _, planned in shared if planned < moment)


@settings(max_examples=20)
@given(profiles, st.data())
def test_any_arrival_can_be_asked_for_alone(profile: Profile, data: st.DataObject) -> None:
    """A worker that starts in the middle computes the same times as one that walked there."""
    schedule = Schedule(profile)
    if not schedule.total:
        return
    times = dict(schedule.times(0, schedule.total))
    k = data.draw(st.integers(0, schedule.total - 1))
    assert Schedule(profile).planned_s(k) == times[k]


def test_poisson_gaps_are_exponential_and_depend_on_the_seed_only() -> None:
    """Mean and spread of the gaps are those of a Poisson process; another seed is another process."""

    def times(seed: int) -> list[float]:
        phase = ProfilePhase("p", Fraction(1000), Fraction(50), Fraction(50))
        schedule = Schedule(Profile("p", "", (phase,), "poisson", seed))
        return [t_s for _, t_s in schedule.times(0, schedule.total)]

    first = times(1)
    gaps = [after - before for before, after in itertools.pairwise(first)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert mean == pytest.approx(1 / 50, rel=0.03)
    assert math.sqrt(variance) == pytest.approx(mean, rel=0.05)
    assert first == times(1)
    assert first != times(2)


def test_a_phase_like_an_earlier_one_repeats_its_poisson_arrivals() -> None:
    """A control plans the same arrivals at the same offsets; a phase of other rates or length draws its own."""
    ramp = ProfilePhase("control", Fraction(40), Fraction(60), Fraction(80))
    other = ProfilePhase("higher", Fraction(40), Fraction(80), Fraction(60))
    schedule = Schedule(Profile("p", "", (ramp, other, ramp), "poisson", 3))
    control, higher, reshard = (
        [schedule.planned_s(phase.first_k + k) - phase.start_s for k in range(phase.arrivals)]
        for phase in schedule.phases
    )
    assert reshard == pytest.approx(control, abs=1e-9)
    assert len(control) > 2048  # more than two blocks
    assert [40 - offset for offset in reversed(higher)][:3] != pytest.approx(control[:3], abs=1e-3)
    assert [phase.first_k for phase in schedule.phases] == [0, len(control), len(control) + len(higher)]
