"""Profiles: what is read, and how a wrong line is named."""

from fractions import Fraction

import pytest

from contract import profiles
from contract.profiles import ProfileError, parse


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("20m", 1200),
        ("1.5h", 5400),
        ("500ms", Fraction(1, 2)),
        ("30 seconds", 30),
        ("2 min", 120),
        ("10s", 10),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """A duration is seconds, or a number with one of Artillery's units."""
    assert profiles.duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "profile.yml: the file is empty"),
        ("a: [", "profile.yml line 1: `a: [`: not YAML"),
        (
            "phases: []",
            "line 1: `phases: []`: `phases` must be a list",
        ),
        ("arrivals: uniform", "`phases:` is missing"),
        (
            "phases:\n - duration: 3x\n   arrivalRate: 1",
            "line 2: `- duration: 3x`: duration '3x' must be seconds, or",
        ),
        (
            "phases:\n - duration: 0\n   arrivalRate: 1",
            "line 2: `- duration: 0`: duration '0' must be above 0",
        ),
        (
            "phases:\n - duration: 3\n   arrivalRate: -1",
            "line 3: `arrivalRate: -1`: arrivalRate '-1' must be a number",
        ),
        (
            "phases:\n - duration: 3\n   arrivalRate: fast",
            "line 3: `arrivalRate: fast`: arrivalRate 'fast' must be",
        ),
        (
            "phases:\n - duration: 3\n   arrivalCount: 1.5",
            "line 3: `arrivalCount: 1.5`: arrivalCount '1.5' must be a whole",
        ),
        (
            "phases:\n - duration: 3\n   arrivalCount: 2\n   rampTo: 4",
            "line 4: `rampTo: 4`: a phase has either",
        ),
        (
            "phases:\n - duration: 3\n   arrivalRate: 2\n   maxVusers: 4",
            "line 4: `maxVusers: 4`: `maxVusers` is not a phase's",
        ),
        (
            "phases:\n - duration: 3\n   duration: 4",
            "line 3: `duration: 4`: `duration` is given twice",
        ),
        (
            "phases:\n - arrivalRate: 4",
            "line 2: `- arrivalRate: 4`: the phase has no `duration`",
        ),
        (
            "phases:\n - duration: 4",
            "line 2: `- duration: 4`: the phase has no `arrivalRate`",
        ),
        (
            "phases:\n - pause: 4\n   arrivalRate: 3",
            "line 3: `arrivalRate: 3`: a phase with `pause` has no",
        ),
        (
            "phases:\n - pause: 4",
            "offer 0 arrivals in all",
        ),
        (
            "phases:\n - duration: 4\n   arrivalRate: 1\nscenarios: []",
            "line 4: `scenarios: []`: `scenarios` is not known",
        ),
        (
            "phases:\n - duration: 4\n   arrivalRate: 1\narrivals: bursty",
            "line 4: `arrivals: bursty`: arrivals 'bursty' is not",
        ),
        (
            "phases:\n - duration: 4\n   arrivalRate: 1\nseed: -1",
            "line 4: `seed: -1`: seed '-1' must be a whole number",
        ),
        (
            "phases:\n - 3",
            "line 2: `- 3`: phase 1 must be `key: value` lines",
        ),
    ],
)
def test_a_wrong_line_is_quoted(text: str, message: str) -> None:
    """Every complaint names the line, quotes it, says what was seen and what is allowed."""
    with pytest.raises(ProfileError) as error:
        parse(text)
    assert message in str(error.value)


def test_scale_multiplies_rates_and_compress_divides_durations() -> None:
    """The peak stays the same under compression, and the arrivals shrink with the duration."""
    phase = parse("phases:\n - duration: 60\n   arrivalRate: 10\n   rampTo: 20", scale="1.5", compress=4).phases[0]
    assert (phase.duration_s, phase.rate_from, phase.rate_to) == (15, 15, 30)
    counted = parse("phases:\n - duration: 60\n   arrivalCount: 120", scale=2, compress=3).phases[0]
    assert counted.area == 80


@pytest.mark.parametrize("scale", ["0", "-1", "many", "1e9", "nan", ""])
def test_a_wrong_scale_is_named(scale: str) -> None:
    """A scale that is no positive number is refused with the value seen."""
    with pytest.raises(ProfileError, match=f"load scale '{scale}'"):
        parse("phases:\n - duration: 60\n   arrivalRate: 10", scale=scale)


def test_artillerys_whole_script_is_accepted_for_its_phases() -> None:
    """Phases may stand under `config`, as in an Artillery script."""
    assert parse("config:\n  phases:\n  - duration: 2m\n    arrivalRate: 5").phases[0].area == 600


def test_a_profile_that_is_not_there_is_named_with_those_that_are() -> None:
    """An unknown name lists the shipped profiles."""
    with pytest.raises(
        ProfileError, match="'nosuch': no such profile or file; shipped profiles are artillery-50min, short"
    ):
        profiles.load("nosuch")
