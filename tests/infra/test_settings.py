"""Settings are checked before anything is created, all at once, in words that say what to do."""

import json
import re
from pathlib import Path

import pytest
import yaml

from infra import settings
from infra.settings import Settings, SettingsError, as_config, check, defaults, from_files

SECRET = "correct-horse-battery"


def problems(**changed: object) -> list[str]:
    """What is refused when these settings replace the defaults; None takes a setting away."""
    values = {**defaults(), **changed}
    with pytest.raises(SettingsError) as error:
        check({name: value for name, value in values.items() if value is not None})
    return error.value.problems


def test_defaults_are_allowed() -> None:
    """The stack deploys, and the rehearsal runs, without setting anything."""
    read = check(defaults())
    assert read.shard_count == 1
    assert read.load_scale == "3"
    assert read.keep_results is True


def test_every_setting_is_declared_with_type_description_and_default() -> None:
    """Pulumi.yaml and the check know the same settings, and the CLI can describe and fill in each."""
    config = yaml.safe_load((settings.ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))["config"]
    fields = {re.sub(r"_([a-z])", lambda m: m[1].upper(), name) for name in Settings.__dataclass_fields__}
    assert fields == set(config)
    for name, declared in config.items():
        assert declared.get("description"), name
        assert declared.get("type") in ("string", "integer", "boolean", "array"), name
        assert "default" in declared, name


def test_text_and_typed_values_read_the_same() -> None:
    """The CLI hands over text, the rehearsal what YAML holds; both are the same settings."""
    prefix = settings.project_name() + ":"
    text = {name.removeprefix(prefix): value for name, value in as_config(defaults()).items()}
    assert all(isinstance(value, str) for value in text.values())
    assert check(text) == check(defaults())


@pytest.mark.parametrize(
    ("name", "allowed", "refused"),
    [
        ("shardCount", [1, "2", 45], [0, -1, "1.0", "one", "", True, 501, 10**12]),
        ("replicasPerShard", [1, 5], [0, 6]),
        ("nodeQuota", [2, 500], [1, 501]),
        (
            "cacheNodeType",
            ["cache.t4g.micro", "cache.r7g.16xlarge"],
            ["r7g.large", "cache.", "cache.R7g.large", "cache.r6gd.xlarge", 7],
        ),
        (
            "cacheEngine",
            ["valkey 7.2", "valkey 8.0", "valkey 8.1", "valkey 8.2", "valkey 9.0", "valkey 9.1", "redis 7.1"],
            ["valkey", "valkey 8.x", "valkey 9", "valkey 9.2", "valkey 9.1.0", "redis 7.2", "memcached 1.6", ""],
        ),
        ("transitEncryption", [True, "false"], ["yes", 1.5, ""]),
        ("functionMemory", [128, 10240], [127, 10241]),
        ("functionTimeout", [1, 50], [0, 51]),
        ("functionConnection", ["fresh", "reused"], ["new", ""]),
        ("loadProfile", ["artillery-50min"], ["no-such-profile", "../profiles/artillery-50min", ""]),
        ("loadScale", ["0.001", "1000", "3", "0.5", 3], ["0", "0.0001", "1000.1", "-1", "3x", "", "1e3", True, "nan"]),
        ("loadCompress", ["0.1", "1000", "16.666667"], ["0", "0.09", "1001", "inf"]),
        ("loadTasks", [1, 100], [0, 101]),
        ("loadConnection", ["new", "keep-alive"], ["keepalive"]),
        ("loadWarm", ["peak", "0", "99999", 40], ["", "all", "-1", "1.5", "100000", True]),
        ("loadAutostart", [True, False], ["on"]),
        ("keepResults", ["true", False], ["maybe"]),
        (
            "availabilityZones",
            [[], ["eu-west-1a", "eu-west-1b"], '["us-gov-east-1a","us-gov-east-1b"]'],
            [["eu-west-1a"], ["eu-west-1a", "eu-west-1a"], ["a", "b"], "eu-west-1a", {}, ["eu-west-1a"] * 3],
        ),
        ("budgetUsd", [0, "0"], [-1, "1.5", 1_000_001, True]),
        ("budgetEmail", [""], ["me", "me@", "@example.com", "me@example", "a b@example.com", "a@b.c, d@e.f", 7]),
        ("retentionDays", [1, "30", 3653], [0, 2, 31, 3654, True, "forever"]),
    ],
)
def test_limits(name: str, allowed: list[object], refused: list[object]) -> None:
    """Each setting is taken up to its limits and refused past them, naming itself and the value seen."""
    for value in allowed:
        check({**defaults(), "nodeQuota": 500, "replicasPerShard": 1, name: value})
    for value in refused:
        named = [problem for problem in problems(**{name: value}) if problem.startswith(f"{name}: ")]
        assert len(named) == 1, (name, value)
        assert json.dumps(value) in named[0], named[0]
        assert "allowed" in named[0]


@pytest.mark.parametrize(
    ("shards", "replicas", "quota", "fits"),
    [
        (45, 1, 90, True),
        (46, 1, 90, False),
        (15, 5, 90, True),
        (16, 5, 90, False),
        (250, 1, 500, True),
        (84, 5, 500, False),
    ],
)
def test_nodes_must_fit_the_quota(shards: int, replicas: int, quota: int, *, fits: bool) -> None:
    """A cluster of more nodes than AWS allows is refused here, not half an hour later."""
    changed = {"shardCount": shards, "replicasPerShard": replicas, "nodeQuota": quota}
    if fits:
        check({**defaults(), **changed})
    else:
        assert f"makes {shards * (1 + replicas)} nodes; allowed are {quota}" in problems(**changed)[0]


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"cacheUsername": "app"}, "cachePassword"),
        ({"cachePassword": SECRET}, "cacheUsername"),
        ({"cacheUsername": "default", "cachePassword": SECRET}, "cacheUsername"),
        ({"cacheUsername": "app", "cachePassword": "short"}, "cachePassword"),
        ({"cacheUsername": "app", "cachePassword": SECRET + ",", "transitEncryption": True}, "cachePassword"),
        ({"cacheUsername": "app", "cachePassword": SECRET + '"', "transitEncryption": True}, "cachePassword"),
        ({"cacheUsername": "app", "cachePassword": SECRET + "/", "transitEncryption": True}, "cachePassword"),
        ({"cacheUsername": "app", "cachePassword": "@" + SECRET, "transitEncryption": True}, "cachePassword"),
        ({"cacheUsername": "a b", "cachePassword": SECRET, "transitEncryption": True}, "cacheUsername"),
    ],
)
def test_users_are_whole_or_absent(changed: dict[str, object], named: str) -> None:
    """A user without a password, or a password without a user, would deploy a cache that the function cannot enter."""
    assert any(problem.startswith(f"{named}: ") for problem in problems(**changed))


def test_passwords_that_elasticache_refuses() -> None:
    """ElastiCache refuses four characters in the middle of `up`; the message names them, any other one passes."""
    user = {"cacheUsername": "app", "transitEncryption": True}
    for character in ',"/@':
        (problem,) = problems(**user, cachePassword=f"correct-horse{character}battery")
        assert 'without , " / @' in problem
    others = "".join(chr(code) for code in range(ord("!"), ord("~") + 1) if chr(code) not in ',"/@')
    assert check({**defaults(), **user, "cachePassword": others}).cache_password == others


@pytest.mark.parametrize(
    ("usd", "email", "missing"), [(100, "", "budgetEmail: it is empty"), (0, "me@example.com", "budgetUsd: it is 0")]
)
def test_a_budget_is_whole_or_absent(usd: int, email: str, missing: str) -> None:
    """A budget that tells nobody, or an address that nothing is ever sent to, is a mistake."""
    assert problems(budgetUsd=usd, budgetEmail=email)[0].startswith(missing)
    whole = check({**defaults(), "budgetUsd": 1_000_000, "budgetEmail": "first.last+x@mail.example.com"})
    assert (whole.budget_usd, whole.budget_email) == (1_000_000, "first.last+x@mail.example.com")


def test_users_need_tls() -> None:
    """ElastiCache refuses users without transit encryption; the message names the setting to change."""
    assert problems(cacheUsername="app", cachePassword=SECRET)[0].startswith("transitEncryption: false")
    check({**defaults(), "cacheUsername": "app", "cachePassword": SECRET, "transitEncryption": True})


def test_passwords_are_never_shown() -> None:
    """Neither a refusal nor the settings' text form carries the password into a log."""
    refused = problems(cacheUsername="app", cachePassword="hunter2 with spaces")
    assert not any("hunter2" in problem for problem in refused)
    read = check({**defaults(), "cacheUsername": "app", "cachePassword": SECRET, "transitEncryption": True})
    assert SECRET not in repr(read)
    told = check({**defaults(), "budgetUsd": 1, "budgetEmail": "somebody@example.com"})
    assert "somebody" not in repr(told)


def test_all_problems_at_once() -> None:
    """Three mistakes take one run to find, not three."""
    lines = problems(shardCount=0, loadScale="fast", shardCoutn=2, retentionDays=None)
    assert [problem.split(":")[0] for problem in lines] == ["shardCoutn", "shardCount", "loadScale", "retentionDays"]


def test_unknown_settings_are_refused() -> None:
    """The CLI lets a misspelt setting pass; the program names the one that was meant."""
    assert "there is no such setting; did you mean shardCount?" in problems(shardCoutn=2)[0]
    assert "there is no such setting (" in problems(zzz=2)[0]


def test_stack_file_and_overrides(tmp_path: Path) -> None:
    """`--set` wins over the stack file, which wins over Pulumi.yaml; other programs' keys are not settings."""
    (tmp_path / "Pulumi.yaml").write_text((settings.ROOT / "Pulumi.yaml").read_text(encoding="utf-8"))
    project = settings.project_name()
    (tmp_path / "Pulumi.test.yaml").write_text(
        f"config:\n  aws:region: eu-west-1\n  {project}:shardCount: 2\n  {project}:loadScale: '1.5'\n"
        f"  {project}:cachePassword:\n    secure: AAAB\n"
    )
    values = from_files(tmp_path, "test", {"loadScale": "2"})
    assert values["shardCount"] == 2
    assert values["loadScale"] == "2"
    assert values["cachePassword"] == ""
    assert "aws:region" not in values
    assert from_files(tmp_path, "no-such-stack") == defaults()


def test_the_settings_page_has_every_setting_with_its_default() -> None:
    """docs/settings.md lists what Pulumi.yaml declares, in its order, and tells no other default."""
    page = (settings.ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    told = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", page, re.MULTILINE))
    assert list(defaults()) == list(told)
    for name, value in defaults().items():
        shown = "empty" if value == "" else value if isinstance(value, str) else json.dumps(value)
        assert shown == told[name], name
