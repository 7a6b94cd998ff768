"""What bad input gets: one line that names it, exit 64, and nothing started."""

import subprocess
import sys
from pathlib import Path

import pytest

from experiment.errors import OptionsError
from rehearsal import options

BAD = [
    (["--shards", "0:2"], "--shards 0:2: two different numbers of shards"),
    (["--shards", "2:2"], "--shards 2:2"),
    (["--shards", "1"], "--shards 1:"),
    (["--set", "shardCoutn=2"], "shardCoutn: there is no such setting; did you mean shardCount?"),
    (["--set", "replicasPerShard=9"], 'replicasPerShard: "9" is not allowed'),
    (["--set", "nothing"], "--set nothing: KEY=VALUE"),
    (["--load-scale", "-1"], 'loadScale: "-1" is not allowed'),
    (["--load-profile", "nope"], 'loadProfile: "nope" is not allowed'),
    (["--load-profile", "/nope.yml"], "no such profile or file"),
    (["--reshard-at", "61%"], "10 % of the phase must lie before it and after it"),
    (["--shards", "1:60"], "shardCount: 60 with replicasPerShard 1 makes 120 nodes; allowed are 90"),
    (["--cycles", "0"], "--cycles 0: must be at least 1"),
    (["--cycles", "8", "--load-profile", "short"], "--cycles needs a constant rate"),
    (["--cycles", "99"], "fewer cycles"),
    (["--server", "/nope"], "--server /nope: no such file"),
    (["--gate", "read.p99 < \u0665ms"], "read.p99 < \u0665ms"),  # an Arabic five
]


@pytest.mark.parametrize(("words", "said"), BAD, ids=[" ".join(words) for words, _ in BAD])
def test_bad_input_is_refused_in_words(words: list[str], said: str) -> None:
    """The message names the option or setting and the value seen."""
    with pytest.raises(OptionsError) as refused:
        options.read(words)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("phases:\n  - duration: 10\n    arrivalRate: -5\n", "line 3"),
        ("phases: []\n", "phases"),
    ],
)
def test_a_bad_profile_quotes_its_line(tmp_path: Path, text: str, said: str) -> None:
    """A negative rate or a profile without a phase is refused before anything starts."""
    file = tmp_path / "bad.yml"
    file.write_text(text)
    with pytest.raises(OptionsError) as refused:
        options.read(["--load-profile", str(file)])
    assert said in str(refused.value)


def test_a_run_folder_that_exists_is_never_written_into(tmp_path: Path) -> None:
    """--out must name a folder that does not exist."""
    with pytest.raises(OptionsError, match="it exists already"):
        options.read(["--out", str(tmp_path)])


@pytest.mark.parametrize(
    "words",
    [["--shards", "0:2"], ["--reshard-at", "120%"], ["--gate", "read.p99 ~ 5"], ["--gate", "failed < 1%"]],
)
def test_the_command_exits_64_in_one_line_without_a_stack_trace(words: list[str]) -> None:
    """The whole command, as a user types it."""
    ran = subprocess.run([sys.executable, "-m", "rehearsal", *words], capture_output=True, text=True, check=False)
    assert ran.returncode == 64
    assert ran.stderr.count("\n") == 1
    assert "Traceback" not in ran.stderr


def test_the_default_is_the_original_compressed() -> None:
    """Rates are kept (900/s at the peak), durations divided; shards are 1:2 whatever the stack file says."""
    chosen = options.read([])
    assert max(phase.rate_to for phase in chosen.schedule.phases) == 900
    assert chosen.schedule.duration_s == 125
    assert chosen.values["shardCount"] == chosen.plan.shards[0] == 1
    assert (chosen.migration, chosen.plan.slots_per_s) == ("batches", 300)


def test_cycles_last_as_long_as_their_moves() -> None:
    """Without --load-compress the constant rate is kept for what the moves need, within half a percent."""
    chosen = options.read(["--cycles", "8", "--migration", "atomic"])
    assert len(chosen.plan.moves) == 16
    assert chosen.schedule.duration_s == pytest.approx(chosen.plan.moves[-1].at_s + 22, rel=0.005)
    assert chosen.schedule.duration_s >= chosen.plan.moves[-1].at_s + 22


@pytest.mark.parametrize(
    ("answer", "migration", "said"),
    [
        ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", "batches", "is Redis 7.0.15"),
        ("Redis server v=8.4.0 sha=00000000:0", "atomic", "--migration atomic cannot be used: add --migration slots"),
        ("Valkey server v=8.1.3 sha=00000000:0", "batches", "is Valkey 8.1.3"),
        ("Valkey server v=9.0.0-rc1 sha=00000000:0", "batches", None),
        ("Valkey server v=10.0.0 sha=00000000:0", "atomic", None),
        ("Redis server v=7.0.15 sha=00000000:0", "slots", None),
        ("a shell", "batches", "says 'a shell'"),
    ],
)  # fmt: skip
def test_a_server_without_atomic_migration_is_refused_at_once(
    tmp_path: Path, answer: str, migration: str, said: str | None
) -> None:
    """Before anything starts, with the choice that works; slot by slot works with every version."""
    server = tmp_path / "server"
    server.write_text(f"#!/bin/sh\n[ \"$1\" = --version ] && echo '{answer}'\n")
    server.chmod(0o755)
    words = ["--server", str(server), "--migration", migration]
    if said is None:
        assert options.read(words).server == server
    else:
        with pytest.raises(OptionsError) as refused:
            options.read(words)
        assert said in str(refused.value)
