"""The stack's settings: read, checked and refused all at once, before the first resource.

`Pulumi.yaml` declares every setting with its type and default; the Pulumi CLI checks types and fills in defaults.
This module refuses what the CLI lets pass: values out of range, combinations that AWS would refuse half an hour later,
and misspelt names. It imports neither pulumi nor pulumi_aws, so the rehearsal checks the same settings in the same
words: `check(values)` for a plain dictionary, `from_files(root, stack, overrides)` for Pulumi.yaml, the stack file and
`--set`.
"""

import difflib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import yaml

ROOT = Path(__file__).resolve().parent.parent

# CloudWatch Logs accepts only these.
RETENTION_DAYS = (
    1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653,
)  # fmt: skip
# Versions with cluster mode, TLS and users that are not near their end of life, oldest first; source: ElastiCache's
# guide, "Engine versions and upgrading", November 2026. A version's parameter family is the engine and major number.
ENGINES = ("redis 7.1", "valkey 7.2", "valkey 8.0", "valkey 8.1", "valkey 8.2", "valkey 9.0", "valkey 9.1")

# Never shown: not in a log, and not in a run folder, which may be given to others.
PRIVATE = frozenset({"cache_password", "budget_email"})


class SettingsError(ValueError):
    """Settings that cannot be used; `problems` has one line for each problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Settings:
    """The checked settings; the names are those of Pulumi.yaml in Python's spelling."""

    shard_count: int
    replicas_per_shard: int
    node_quota: int
    cache_node_type: str
    cache_engine: str
    transit_encryption: bool
    cache_username: str
    cache_password: str
    function_memory: int
    function_timeout: int
    function_connection: str
    load_profile: str
    load_scale: str
    load_compress: str
    load_tasks: int
    load_connection: str
    load_warm: str
    load_autostart: bool
    keep_results: bool
    availability_zones: tuple[str, ...]
    retention_days: int
    budget_usd: int
    budget_email: str

    def __repr__(self) -> str:
        """All settings but the private ones, which must not reach a log."""
        public = {name: value for name, value in vars(self).items() if name not in PRIVATE}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in public.items())})"


class _Refused(Exception):  # noqa: N818 - control flow inside this file, never reaches a caller
    """A rule does not accept the value."""


@dataclass(frozen=True)
class _Rule:
    """How to read one setting's value, and the text that says what is allowed."""

    read: Callable[[object], Any]
    allowed: str
    secret: bool = False


def _integer(low: int, high: int) -> _Rule:
    def read(value: object) -> int:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"[+-]?\d{1,9}", text) or not low <= int(text) <= high:
            raise _Refused
        return int(text)

    return _Rule(read, f"a whole number from {low} to {high}")


def _one_of(*choices: str) -> _Rule:
    def read(value: object) -> str:
        if value not in choices:
            raise _Refused
        return str(value)

    return _Rule(read, " or ".join(f'"{choice}"' for choice in choices))


def _number_of(choices: tuple[int, ...]) -> _Rule:
    def read(value: object) -> int:
        if isinstance(value, bool) or str(value) not in {str(choice) for choice in choices}:
            raise _Refused
        return int(str(value))

    return _Rule(read, "one of " + ", ".join(map(str, choices)))


def _matching(pattern: str, allowed: str, *, secret: bool = False) -> _Rule:
    def read(value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value, re.ASCII):
            raise _Refused
        return value

    return _Rule(read, allowed, secret)


def _decimal(low: str, high: str) -> _Rule:
    """A decimal number, kept as text: the generator computes with it exactly."""

    def read(value: object) -> str:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", text):
            raise _Refused
        if not Fraction(low) <= Fraction(text) <= Fraction(high):
            raise _Refused
        return text

    return _Rule(read, f"a decimal number from {low} to {high}, such as 3 or 0.5")


def _environments() -> _Rule:
    """A number of environments, kept as text, or the word that lets the generator compute it."""

    def read(value: object) -> str:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"peak|\d{1,5}", text, re.ASCII):
            raise _Refused
        return text

    return _Rule(read, '"peak", or a whole number from 0 to 99999')


def _flag() -> _Rule:
    def read(value: object) -> bool:
        if value in (True, "true"):
            return True
        if value in (False, "false"):
            return False
        raise _Refused

    return _Rule(read, "true or false")


def _zones() -> _Rule:
    def read(value: object) -> tuple[str, ...]:
        try:
            zones = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            raise _Refused from None
        if not isinstance(zones, list):
            raise _Refused
        names = [str(zone) for zone in cast("list[object]", zones)]
        if len(names) not in (0, 2) or len(set(names)) != len(names):
            raise _Refused
        if any(not re.fullmatch(r"[a-z]{2}(-[a-z]+)+-\d+[a-z]", name) for name in names):
            raise _Refused
        return tuple(names)

    return _Rule(read, 'no zone or two different ones, such as ["eu-west-1a", "eu-west-1b"]')


def _profile(root: Path) -> _Rule:
    folder = root / "locust" / "profiles"
    names = tuple(sorted(path.stem for path in folder.glob("*.yml")))

    def read(value: object) -> str:
        if value not in names:
            raise _Refused
        return str(value)

    return _Rule(read, f"a profile of locust/profiles: {', '.join(names) or 'there is none'}")


def _rules(root: Path) -> dict[str, _Rule]:
    return {
        "shardCount": _integer(1, 500),
        "replicasPerShard": _integer(1, 5),
        "nodeQuota": _integer(2, 500),
        # AWS takes r6gd nodes with data tiering only, which moves what is rarely read to disks.
        "cacheNodeType": _matching(
            r"cache\.(?!r6gd\.)[a-z0-9]+\.[a-z0-9]+", "an ElastiCache node type, such as cache.r7g.large; not r6gd"
        ),
        "cacheEngine": _one_of(*ENGINES),
        "transitEncryption": _flag(),
        # AWS allows more characters in a user name; these need no quoting in an access-control list.
        "cacheUsername": _matching(
            r"(?!default$)[A-Za-z0-9][A-Za-z0-9_.-]{0,63}|",
            'letters, digits, "_", "." and "-", not "default"; or empty',
        ),
        "cachePassword": _matching(
            r"""(?:(?![,"/@])[!-~]){16,128}|""",
            '16 to 128 printable ASCII characters, no spaces, and without , " / @ (ElastiCache refuses them); or empty',
            secret=True,
        ),
        "functionMemory": _integer(128, 10240),
        "functionTimeout": _integer(1, 50),
        "functionConnection": _one_of("fresh", "reused"),
        "loadProfile": _profile(root),
        "loadScale": _decimal("0.001", "1000"),
        "loadCompress": _decimal("0.1", "1000"),
        "loadTasks": _integer(1, 100),
        "loadConnection": _one_of("new", "keep-alive"),
        "loadWarm": _environments(),
        "loadAutostart": _flag(),
        "keepResults": _flag(),
        "availabilityZones": _zones(),
        "retentionDays": _number_of(RETENTION_DAYS),
        "budgetUsd": _integer(0, 1_000_000),
        "budgetEmail": _matching(
            r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+|",
            "an e-mail address such as me@example.com; or empty",
        ),
    }


def _field(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


def shown(settings: Settings) -> dict[str, object]:
    """The settings by their names in Pulumi.yaml, without the private ones; for run.json."""
    names = {_field(name): name for name in _rules(ROOT)}
    return {names[field]: value for field, value in vars(settings).items() if field not in PRIVATE}


def check(values: Mapping[str, object], *, root: Path = ROOT) -> Settings:
    """Check settings by their names in Pulumi.yaml; values are text (as in a stack file) or typed.

    Raises:
        SettingsError: names every problem at once: unknown names, settings without a value, values out of range, and
            values that contradict each other.
    """
    rules = _rules(root)
    problems = [_unknown(name, rules) for name in sorted(set(values) - set(rules))]
    read: dict[str, Any] = {}
    for name, rule in rules.items():
        if values.get(name) is None:
            problems.append(f"{name}: no value; allowed is {rule.allowed}")
            continue
        try:
            read[name] = rule.read(values[name])
        except _Refused:
            shown_value = "a value not shown here" if rule.secret else _shown(values[name])
            problems.append(f"{name}: {shown_value} is not allowed; allowed is {rule.allowed}")
    problems += _together(read)
    if problems:
        raise SettingsError(problems)
    return Settings(**{_field(name): value for name, value in read.items()})


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:77] + "..."


def _unknown(name: str, rules: Mapping[str, _Rule]) -> str:
    close = difflib.get_close_matches(name, rules, n=1)
    hint = f"; did you mean {close[0]}?" if close else ""
    return f"{name}: there is no such setting{hint} (Pulumi.yaml lists them: {', '.join(rules)})"


def _together(read: Mapping[str, Any]) -> list[str]:
    """Problems of settings that are valid alone but not together."""
    problems: list[str] = []
    if {"shardCount", "replicasPerShard", "nodeQuota"} <= set(read):
        shards, replicas, quota = read["shardCount"], read["replicasPerShard"], read["nodeQuota"]
        nodes = shards * (1 + replicas)
        if nodes > quota:
            problems.append(
                f"shardCount: {shards} with replicasPerShard {replicas} makes {nodes} nodes; allowed are {quota} "
                f"(nodeQuota; AWS grants 90 in one cluster unless asked for more, 500 at most)"
            )
    user, password = read.get("cacheUsername"), read.get("cachePassword")
    if user is not None and password is not None and bool(user) != bool(password):
        missing = "cachePassword" if user else "cacheUsername"
        problems.append(f"{missing}: it is empty; allowed is cacheUsername and cachePassword both set or both empty")
    if user and read.get("transitEncryption") is False:
        problems.append(
            "transitEncryption: false is not allowed with cacheUsername, because ElastiCache has users only over TLS; "
            "allowed is true"
        )
    usd, email = read.get("budgetUsd"), read.get("budgetEmail")
    if usd is not None and email is not None and bool(usd) != bool(email):
        missing, problem = ("budgetEmail", "it is empty") if usd else ("budgetUsd", "it is 0")
        problems.append(f"{missing}: {problem}; allowed is budgetUsd and budgetEmail both set or neither (0 and empty)")
    return problems


def defaults(root: Path = ROOT) -> dict[str, object]:
    """Pulumi.yaml's settings and their defaults; the CLI fills them in, code outside it must do so itself."""
    project = cast("dict[str, Any]", yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8")))
    return {name: declared["default"] for name, declared in project["config"].items()}


def project_name(root: Path = ROOT) -> str:
    """The project's name, which prefixes the settings in a stack file."""
    return str(yaml.safe_load((root / "Pulumi.yaml").read_text(encoding="utf-8"))["name"])


def from_files(root: Path, stack: str, overrides: Mapping[str, object] | None = None) -> dict[str, object]:
    """The unchecked settings of a stack: Pulumi.yaml's defaults, then Pulumi.<stack>.yaml, then `overrides`.

    Encrypted values of a stack file cannot be read here; the default is used instead.
    """
    values = defaults(root)
    file = root / f"Pulumi.{stack}.yaml"
    if file.is_file():
        content = cast("dict[str, Any]", yaml.safe_load(file.read_text(encoding="utf-8")) or {})
        prefix = project_name(root) + ":"
        for key, value in (content.get("config") or {}).items():
            encrypted = isinstance(value, dict) and "secure" in value
            if key.startswith(prefix) and not encrypted:
                values[key.removeprefix(prefix)] = value
    return {**values, **(overrides or {})}


def as_config(values: Mapping[str, object], root: Path = ROOT) -> dict[str, str]:
    """The settings as Pulumi's runtime keeps them (`pulumi.runtime.set_all_config`): prefixed names, values as text."""
    prefix = project_name(root) + ":"
    return {prefix + name: value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
