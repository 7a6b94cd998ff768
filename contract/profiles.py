"""Load profiles: Artillery's `phases` syntax, read and checked, each complaint quoting its line.

A profile says how many arrivals are *offered*; nothing here knows when they are sent. Rates are arrivals per second.
`scale` multiplies rates and counts; `compress` divides durations and keeps rates.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import yaml

PROFILES_DIR = Path(__file__).resolve().parent.parent / "locust" / "profiles"

PHASE_KEYS = frozenset({"name", "duration", "arrivalRate", "rampTo", "arrivalCount", "pause"})
TOP_KEYS = frozenset({"phases", "arrivals", "seed", "description"})
ARRIVALS = ("uniform", "poisson")

# Limits against typing errors: a day of load, and more arrivals than one profile could ever mean.
MAX_DURATION_S = 7 * 24 * 3600
MAX_ARRIVALS = 2_000_000_000

_UNITS = {
    "ms": Fraction(1, 1000),
    "s": 1,
    "sec": 1,
    "second": 1,
    "m": 60,
    "min": 60,
    "minute": 60,
    "h": 3600,
    "hr": 3600,
    "hour": 3600,
}
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*\Z", re.IGNORECASE)


class ProfileError(ValueError):
    """A profile, a scale or a compression that cannot be used: the message says where, what was seen, what to do."""


@dataclass(frozen=True)
class ProfilePhase:
    """One phase after scale and compression; the rate runs linearly from `rate_from` to `rate_to`. Exact numbers."""

    name: str
    duration_s: Fraction
    rate_from: Fraction
    rate_to: Fraction

    @property
    def area(self) -> Fraction:
        """The integral of the rate over the phase: its arrivals, before rounding to whole ones."""
        return (self.rate_from + self.rate_to) / 2 * self.duration_s


@dataclass(frozen=True)
class Profile:
    """A whole profile: what `Schedule` needs, and the text it came from."""

    name: str
    text: str
    phases: tuple[ProfilePhase, ...]
    arrivals: str = "uniform"
    seed: int = 0
    scale: Fraction = Fraction(1)
    compress: Fraction = Fraction(1)


def load(
    name_or_file: str, *, scale: str | float = 1, compress: str | float = 1, profiles_dir: Path = PROFILES_DIR
) -> Profile:
    """Read a shipped profile by name, or a file by its path."""
    path = profiles_dir / f"{name_or_file}.yml"
    if not re.fullmatch(r"[\w.-]+", name_or_file) or not path.is_file():
        path = Path(name_or_file)
    if not path.is_file():
        raise ProfileError(
            f"load profile {name_or_file!r}: no such profile or file; shipped profiles are "
            f"{', '.join(shipped(profiles_dir))}; or name a file (Artillery's `phases` syntax)"
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileError(f"load profile {name_or_file!r}: cannot be read as UTF-8 text: {error}") from None
    return parse(text, name=path.stem, file=path.name, scale=scale, compress=compress)


def shipped(profiles_dir: Path = PROFILES_DIR) -> list[str]:
    """The names of the profiles that come with the project."""
    return sorted(path.stem for path in profiles_dir.glob("*.yml"))


def parse(
    text: str, *, name: str = "profile", file: str = "profile.yml", scale: str | float = 1, compress: str | float = 1
) -> Profile:
    """Read a profile from its text."""
    factor = _factor("load scale", scale)
    shrink = _factor("load compression", compress)
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f" line {mark.line + 1}: `{_line(text, mark.line)}`" if mark else ""
        raise ProfileError(f"{file}{where}: not YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ProfileError(f"{file}: not YAML: {error}") from None
    return _Reader(text, file).profile(root, name, factor, shrink)


def duration_s(value: object) -> Fraction:
    """Seconds from a number, or from a number with a unit ("20m", "90 s", "1.5h", "500ms")."""
    match = _DURATION.match(str(value))
    if not match or isinstance(value, bool):
        raise ValueError("seconds, or a number with a unit such as 20m, 90s, 1h, 500ms")
    unit = match[2].lower()
    if unit and unit not in _UNITS:
        unit = unit.removesuffix("s")
    if unit and unit not in _UNITS:
        raise ValueError("seconds, or a number with a unit such as 20m, 90s, 1h, 500ms")
    return Fraction(match[1]) * (_UNITS[unit] if unit else 1)


def _factor(what: str, value: str | float) -> Fraction:
    try:
        number = Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError):
        raise ProfileError(f"{what} {value!r}: must be a number above 0, such as 3 or 0.5") from None
    if not 0 < number <= 1_000_000:
        raise ProfileError(f"{what} {value!r}: must be above 0 and at most 1,000,000")
    return number


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number].strip() if number < len(lines) else ""


class _Reader:
    """Walks YAML's nodes rather than its values, because nodes know their lines."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    def fail(self, node: yaml.Node | None, problem: str) -> ProfileError:
        if node is None:
            return ProfileError(f"{self.file}: {problem}")
        line = node.start_mark.line
        return ProfileError(f"{self.file} line {line + 1}: `{_line(self.text, line)}`: {problem}")

    def mapping(self, node: yaml.Node, what: str) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            raise self.fail(node, f"{what} must be `key: value` lines")
        keys: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        for key, value in node.value:
            name = str(key.value)
            if name in keys:
                raise self.fail(key, f"`{name}` is given twice")
            keys[name] = (key, value)
        return keys

    def profile(self, root: yaml.Node | None, name: str, scale: Fraction, compress: Fraction) -> Profile:
        if root is None:
            raise self.fail(None, "the file is empty; it needs `phases:`")
        top = self.mapping(root, "a profile")
        self.unwrap(top)
        if "phases" not in top:
            raise self.fail(root, "`phases:` is missing")
        node = top["phases"][1]
        if not isinstance(node, yaml.SequenceNode) or not node.value:
            raise self.fail(node, "`phases` must be a list with at least one phase, each starting with `-`")
        phases = tuple(self.phase(item, index, scale, compress) for index, item in enumerate(node.value))
        total = sum((phase.area for phase in phases), Fraction(0))
        if total < Fraction(1, 2):
            raise self.fail(
                node, f"the phases offer {float(total):.3g} arrivals in all; raise arrivalRate, duration or the scale"
            )
        if total > MAX_ARRIVALS:
            raise self.fail(node, f"the phases offer {float(total):.3g} arrivals in all; at most {MAX_ARRIVALS:,}")
        arrivals, seed = self.spacing(top)
        return Profile(name, self.text, phases, arrivals, seed, scale, compress)

    def unwrap(self, top: dict[str, tuple[yaml.Node, yaml.Node]]) -> None:
        if "config" in top:  # a whole Artillery script: its phases are under config
            inner = self.mapping(top.pop("config")[1], "`config`")
            if both := next((key for key in inner if key in top), None):
                raise self.fail(top[both][0], f"`{both}` is given here and under `config`")
            top |= inner
        for key, (node, _) in top.items():
            if key not in TOP_KEYS:
                raise self.fail(
                    node,
                    f"`{key}` is not known here (every arrival is one GET of --host); "
                    f"allowed: {', '.join(sorted(TOP_KEYS))}",
                )

    def spacing(self, top: dict[str, tuple[yaml.Node, yaml.Node]]) -> tuple[str, int]:
        arrivals, seed = "uniform", 0
        if "arrivals" in top:
            arrivals = str(top["arrivals"][1].value)
            if arrivals not in ARRIVALS:
                raise self.fail(
                    top["arrivals"][0], f"arrivals {arrivals!r} is not known; allowed: {', '.join(ARRIVALS)}"
                )
        if "seed" in top:
            text = str(top["seed"][1].value)
            if not re.fullmatch(r"\d{1,18}", text):
                raise self.fail(top["seed"][0], f"seed {text!r} must be a whole number from 0")
            seed = int(text)
        return arrivals, seed

    def phase(self, node: yaml.Node, index: int, scale: Fraction, compress: Fraction) -> ProfilePhase:
        keys = self.mapping(node, f"phase {index + 1}")
        for key, (where, _) in keys.items():
            if key not in PHASE_KEYS:
                raise self.fail(where, f"`{key}` is not a phase's key; allowed: {', '.join(sorted(PHASE_KEYS))}")
        name = str(keys["name"][1].value) if "name" in keys else f"Phase {index + 1}"
        if "pause" in keys:
            if clash := next((key for key in keys if key not in ("pause", "name")), None):
                raise self.fail(keys[clash][0], f"a phase with `pause` has no `{clash}`")
            return ProfilePhase(name, self.duration(keys["pause"]) / compress, Fraction(0), Fraction(0))
        if "duration" not in keys:
            raise self.fail(node, "the phase has no `duration` (seconds, or such as 20m)")
        length = self.duration(keys["duration"])
        if "arrivalCount" in keys:
            if clash := next((key for key in ("arrivalRate", "rampTo") if key in keys), None):
                raise self.fail(keys[clash][0], f"a phase has either `arrivalCount` or `{clash}`, not both")
            rate = self.number(keys["arrivalCount"], whole=True) / length * scale
            return ProfilePhase(name, length / compress, rate, rate)
        if "arrivalRate" not in keys:
            raise self.fail(node, "the phase has no `arrivalRate`, `arrivalCount` or `pause`")
        start = self.number(keys["arrivalRate"]) * scale
        end = self.number(keys["rampTo"]) * scale if "rampTo" in keys else start
        return ProfilePhase(name, length / compress, start, end)

    def duration(self, pair: tuple[yaml.Node, yaml.Node]) -> Fraction:
        key, node = pair
        try:
            seconds = duration_s(node.value)
        except ValueError as error:
            raise self.fail(key, f"{key.value} {node.value!r} must be {error}") from None
        if not 0 < seconds <= MAX_DURATION_S:
            raise self.fail(key, f"{key.value} {node.value!r} must be above 0 and at most {MAX_DURATION_S} seconds")
        return seconds

    def number(self, pair: tuple[yaml.Node, yaml.Node], *, whole: bool = False) -> Fraction:
        key, node = pair
        if not re.fullmatch(r"\d+" if whole else r"\d+(\.\d+)?", str(node.value)):
            raise self.fail(key, f"{key.value} {node.value!r} must be a {'whole ' if whole else ''}number from 0")
        number = Fraction(str(node.value))
        if number > MAX_ARRIVALS:
            raise self.fail(key, f"{key.value} {node.value} is above {MAX_ARRIVALS:,}")
        return number
