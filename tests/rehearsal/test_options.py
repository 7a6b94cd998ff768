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
    (["--cycles", "0"], "--cycles 0: must be an even number from 4"),
    (["--cycles", "2"], "from 8 on there are intervals"),
    (["--cycles", "7"], "--cycles 7: must be an even number from 4"),
    (["--cycles", "8", "--load-profile", "short"], "profile 'short' goes from 30 to 240 arrivals/s"),
    (["--cycles", "200"], "s a block; at most 12,000 s: fewer cycles"),
    (["--cycles", "12", "--load-compress", "1"], "profile 'steady' lasts 1,200 s"),
    (["--server", "/nope"], "--server /nope: no such file"),
    (["--gate", "read.p99 < \u0665ms"], "read.p99 < \u0665ms"),  # an Arabic five
    (["--gate", "phase.4.failed == 0"], "the load has no such phase"),
    (["--cycles", "4", "--gate", "during.failed == 0"], "planned without a reshard, or with cycles"),
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


@pytest.mark.parametrize(
    ("words", "longest_s"),
    [(["--cycles", "12"], 1500), (["--cycles", "12", "--migration", "atomic"], 750), (["--cycles", "4"], 500)],
)
def test_the_constant_rate_lasts_as_long_as_the_blocks(words: list[str], longest_s: float) -> None:
    """The shipped profile is made longer or shorter, rates as they are; 12 blocks take less than 25 minutes."""
    chosen = options.read(words)
    blocks = chosen.plan.blocks
    assert blocks is not None
    assert len(chosen.plan.moves) == 2 * blocks.count
    assert blocks.duration_s <= chosen.schedule.duration_s <= blocks.duration_s * 1.001
    assert chosen.schedule.duration_s < longest_s
    assert chosen.schedule.phases[0].rate_from == blocks.rate == 300
    assert blocks.window_s > blocks.moving_s


@pytest.mark.parametrize(("scale", "keys"), [("3", 6000), ("1", 6000), ("0.1", 1200)])
def test_the_first_block_has_enough_keys_to_compare(scale: str, keys: int) -> None:
    """Few keys differ by chance: a slow load waits for them, but no longer than two minutes."""
    chosen = options.read(["--cycles", "4", "--migration", "atomic", "--load-scale", scale])
    window = chosen.plan.moves[0].window
    assert window is not None
    assert chosen.schedule.count_before(window[0]) >= keys


def test_a_constant_profile_of_ones_own_must_be_long_enough(tmp_path: Path) -> None:
    """It is used as it is: too short is refused with both lengths, longer goes on after the blocks."""
    file = tmp_path / "mine.yml"
    for duration, refused in (("100s", True), ("2h", False)):
        file.write_text(f"phases: [{{duration: {duration}, arrivalRate: 20}}]")
        words = ["--cycles", "4", "--load-profile", str(file)]
        if refused:
            with pytest.raises(
                OptionsError, match=r"--cycles 4 takes \d+ s, \d+ s a block; profile 'mine' lasts 100 s"
            ):
                options.read(words)
        else:
            assert options.read(words).schedule.duration_s == 7200


def test_each_run_of_cycles_has_an_order_of_its_own() -> None:
    """The seed is fresh and in run.json's `cycles`; --seed repeats it."""

    def order(*words: str) -> tuple[object, list[str]]:
        plan = options.read(["--cycles", "12", *words]).plan
        return plan.as_json()["cycles"]["seed"], [move.kind for move in plan.moves]

    one, other = order(), order()
    assert one != other
    assert order("--seed", str(one[0])) == one


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
