"""One driver, two places: the same experiment, run on this machine for real and on AWS in the fake world."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import experiment.__main__ as on_aws
from contract import runfolder
from contract.runread import read_run
from experiment.driver import Experiment
from experiment.errors import ExperimentError, ExpiredError, UsageError
from experiment.place import Emit, Progress, Started
from experiment.plan import Blocks, Filling, Move, Plan, plan_cycles
from experiment.screen import Screen
from experiment.state import State
from rehearsal import __main__ as here
from tests.experiment.conftest import SleepingClock
from tests.experiment.world import RUN, World, outside

PROFILE = """
phases:
  - {name: Warm up, duration: 16s, arrivalRate: 10, rampTo: 40}
  - {name: Higher load, duration: 4s, arrivalRate: 40}
  - {name: Cool Down, duration: 16s, arrivalRate: 10, rampTo: 40}
"""


@dataclass(frozen=True)
class Played:
    """What the whole command left behind."""

    code: int
    folder: Path


def play_here(folder: Path) -> Played:
    """`python -m rehearsal`, with real processes."""
    profile = folder / "load.yml"
    profile.write_text(PROFILE)
    run_dir = folder / "run"
    words = ["--load-profile", str(profile), "--load-scale", "1", "--load-compress", "1", "--migration", "atomic"]
    return Played(here.main([*words, "--out", str(run_dir)]), run_dir)


def play_on_aws(folder: Path) -> Played:
    """`python -m experiment run`, in the fake world."""
    return Played(on_aws.main(["run", "--keep", "--runs", str(folder)]), folder / RUN)


@pytest.fixture(params=["aws", pytest.param("here", marks=[pytest.mark.rehearsal, pytest.mark.alone])])
def played(
    request: pytest.FixtureRequest, s3: Any, tmp_path: Path, clock: SleepingClock, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Played]:
    """A whole experiment in each place."""
    if request.param == "here":
        yield play_here(tmp_path)
        return
    with outside(World(s3, tmp_path / "world", clock), tmp_path / "bin", monkeypatch):
        yield play_on_aws(tmp_path / "runs")


def test_a_whole_experiment_says_the_same_in_both_places(played: Played) -> None:
    """Its steps, its names and its evidence do not depend on where it ran: `report compare` may compare the two."""
    run = read_run(played.folder)
    assert run.damage == ()
    assert run.meta["where"] in ("rehearsal", "aws")
    assert run.meta["gates"] == ["failed == 0", "missed == 0", "unknown == 0"]
    assert run.meta["settings"]["shardCount"] == 1
    assert {"replicasPerShard", "cacheEngine", "loadProfile"} <= run.meta["settings"].keys()
    assert not {"cachePassword", "cache_password", "replicas_per_shard"} & run.meta["settings"].keys()
    assert (run.meta["reshard"]["from"], run.meta["reshard"]["to"]) == (1, 2)
    assert run.meta["reshard"]["at_s"] == pytest.approx(0.65 * run.meta["duration_s"], abs=4)
    assert {"engine", "function", "command"} <= run.meta.keys()
    names = [event.name for event in run.events]
    order = ["reshard.requested", "slots.started", "slots.finished", "reshard.finished"]
    assert [name for name in names if name in order] == order
    assert run.audit is not None
    assert (run.audit["complete"], run.audit["missing"], run.audit["different"]) == (True, 0, 0)
    assert run.audit["acknowledged"] == int(run.seconds["ok"].sum())
    report = json.loads((played.folder / "report.json").read_text())
    assert report["exit_code"] == played.code
    assert played.code in ((0, 2) if run.meta["where"] == "rehearsal" else (0,))  # a busy machine carries no claim


class Scripted:
    """A place that does as it is told, with its own clock."""

    name = "scripted"
    poll_s = 1.0

    def __init__(self, folder: Path, *, outlives_command: bool = True) -> None:
        self.outlives_command = outlives_command
        self.folder = folder
        self.time = 1000.0
        self.calls: list[str] = []
        self.failures: dict[str, list[BaseException]] = {}
        self.shards = {"real": 1, "sham": 1}
        self.ends_at = 1100.0
        self.takes_events = True
        self.told: list[str] = []
        self.told_at_s: list[tuple[str, float]] = []
        self.filled: list[tuple[float, float]] = []
        self.fill_s = self.join_s = 0.0
        self.move_s = 10.0

    def _do(self, call: str) -> None:
        self.calls.append(call)
        if failures := self.failures.get(call):
            raise failures.pop(0)

    def up(self, moves: object) -> None:
        """The stack stands."""
        self._do("up")

    def fill(self, as_at_s: float) -> None:
        """As slow as it is told to be."""
        self._do("fill")
        self.filled.append((self.time - 1000.0, as_at_s))
        self.time += self.fill_s

    def start(self, emit: Emit) -> Started:
        """The run folder begins to be written."""
        self._do("start")
        what = {"started_at_unix_s": 1000.0, "ended": "running", "duration_s": 100.0}
        runfolder.RunFolder.create(self.folder, what).close({})
        return Started("run", 1000.0, "here")

    def progress(self) -> Progress:
        """Over at second 100."""
        self._do("progress")
        ended = "finished" if self.time >= self.ends_at else ""
        return Progress(self.time - 1000.0, 100.0, ended, {})

    def shards_before(self, move: Move) -> int | None:
        """As many as there are; None when nothing is to be done."""
        before = self.shards[move.kind]
        return None if move.to == before else before

    def change(self, move: Move, emit: Emit, watch: Callable[[], Progress]) -> None:
        """Ten seconds, unless it is told otherwise."""
        self._do("change")
        self.time += self.join_s
        sham = "" if move.kind == "real" else "sham."
        emit(f"{sham}slots.started", slots=8192)
        self.time += self.move_s
        watch()
        emit(f"{sham}slots.finished", slots=8192, keys=5)
        self.shards[move.kind] = move.to

    def tell(self, event: str, fields: object) -> bool:
        """The master hears it, or not."""
        if self.takes_events:
            self.told.append(event)
            self.told_at_s.append((event, self.time - 1000.0))
        return self.takes_events

    def note(self, notes: object) -> None:
        """Nothing."""

    def facts(self, folder: Path) -> dict[str, object]:
        """What only this place knows."""
        return {"engine": {"name": "valkey"}}

    def collect(self) -> Path | None:
        """The folder, if the run began."""
        self._do("collect")
        return self.folder if runfolder.holds_run(self.folder) else None

    def audit(self, sessions: object) -> dict[str, Any]:
        """Nothing was acknowledged."""
        raise AssertionError("asked for no session")

    def census(self) -> dict[str, Any]:
        """An empty cluster of one node."""
        node = {"node": "here:1", "shard": 1, "role": "primary", "keys": 0, "unowned": 0}
        return {"keys": 0, "values": 0, "nodes": [node], "problems": []}

    def down(self) -> None:
        """Everything ends."""
        self._do("down")

    def standing(self) -> str:
        """Nothing."""
        return ""

    def now(self) -> float:
        """The place's clock."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.time += seconds


PLAN = Plan((Move("real", 65.0, 2),), (1, 2), "scripted")


def driver(place: Scripted, state: State | None = None, gates: Sequence[str] = ()) -> Experiment:
    """The driver at that place."""
    state = state or State.in_memory("dev")
    return Experiment(place, state, Screen(), gates=gates, notes={"stack": "dev"})


def events_of(folder: Path) -> dict[str, float]:
    """When each event was."""
    return {event["event"]: event["t_s"] for event in runfolder.read_lines(folder, runfolder.EVENTS)}


def test_every_step_is_done_once_and_in_order(tmp_path: Path) -> None:
    """The move is made at its second, the load followed to its end, and the stack goes last."""
    place = Scripted(tmp_path / "run")
    driver(place).run(PLAN, down=True)
    assert [call for call in place.calls if call != "progress"] == ["up", "start", "change", "collect", "down"]
    assert place.told == ["reshard.requested", "slots.started", "slots.finished", "reshard.finished"]
    assert place.time >= place.ends_at


def test_a_run_keeps_its_gates_and_later_reports_only_add(tmp_path: Path) -> None:
    """Whoever makes the report later, with other gates in mind, judges by those of the run too."""
    place, state = Scripted(tmp_path / "run"), State.load(tmp_path, "dev")
    driver(place, state, ["offered > 5"]).run(PLAN, down=False)
    assert runfolder.read_run(tmp_path / "run")["gates"] == ["offered > 5"]
    state.save(folder=str(tmp_path / "run"))
    driver(place, state, ["failed == 0"]).report()
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert [gate["gate"] for gate in report["gates"]][-2:] == ["offered > 5", "failed == 0"]


def test_what_the_master_does_not_take_is_written_when_the_run_is_over(tmp_path: Path) -> None:
    """Each event with the moment when it happened, not the one when it was written."""
    place = Scripted(tmp_path / "run")
    place.takes_events = False
    driver(place).run(PLAN, down=False)
    at_s = events_of(tmp_path / "run")
    assert at_s == {"reshard.requested": 65.0, "slots.started": 65.0, "slots.finished": 75.0, "reshard.finished": 75.0}


def test_a_move_that_fails_is_a_problem_of_the_run_and_loses_nothing(tmp_path: Path) -> None:
    """The load goes on, the run is collected and reported, and the exit code is that of a run without a claim."""
    place = Scripted(tmp_path / "run")
    place.failures["change"] = [ExperimentError("slots could not be moved")]
    assert driver(place).run(PLAN, down=False) == 2
    run = runfolder.read_run(tmp_path / "run")
    assert run["problems"] == ["the real move to 2 shard(s) failed: slots could not be moved"]
    assert "collect" in place.calls
    assert place.told == ["reshard.requested", "reshard.failed"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ExpiredError("reshard", "AWS", "expired", "renew")])
def test_the_same_command_goes_on_with_a_move_that_was_asked_for(tmp_path: Path, error: BaseException) -> None:
    """Interrupted in the middle of the move, or without credentials: nothing is started or asked for twice."""
    place = Scripted(tmp_path / "run")
    place.failures["change"] = [error]
    with pytest.raises(type(error)):
        driver(place, State.load(tmp_path, "dev")).run(PLAN, down=False)
    driver(place, State.load(tmp_path, "dev")).run(PLAN, down=False)
    counts = {call: place.calls.count(call) for call in ("up", "start", "change", "collect")}
    assert counts == {"up": 1, "start": 1, "change": 2, "collect": 1}
    assert place.told.count("reshard.requested") == 1


def test_where_nothing_outlives_the_command_all_is_ended_and_reported(tmp_path: Path) -> None:
    """Ctrl-C under load: processes end before the run is collected, and the report is made of what there is."""
    place = Scripted(tmp_path / "run", outlives_command=False)
    place.failures["progress"] = [KeyboardInterrupt()]
    assert driver(place).run(PLAN, down=False) == 2
    assert place.calls.index("down") < place.calls.index("collect")
    assert (tmp_path / "run" / "report.html").exists()
    assert "interrupted" in str(runfolder.read_run(tmp_path / "run")["problems"])


@pytest.mark.parametrize(
    ("error", "code"),
    [(UsageError("up", "program", "it declares TLS", "leave it out"), 64), (ExperimentError("no node came up"), 2)],
)
def test_a_stack_that_does_not_come_up_leaves_nothing(tmp_path: Path, error: ExperimentError, code: int) -> None:
    """No run folder, no report, everything ended; the exit code says whose fault it was."""
    place = Scripted(tmp_path / "run", outlives_command=False)
    place.failures["up"] = [error]
    assert driver(place).run(PLAN, down=False) == code
    assert place.calls[-1] == "down"
    assert not (tmp_path / "run").exists()


def test_a_load_that_is_over_before_the_move_gets_none(tmp_path: Path) -> None:
    """Somebody pressed Stop: a reshard after the load would be no evidence."""
    place = Scripted(tmp_path / "run")
    place.ends_at = 1030.0
    driver(place).run(PLAN, down=False)
    assert "change" not in place.calls
    assert place.told == []


BLOCKS = Blocks(4, 1, 50.0, filling_s=2, flank_s=3, preparing_s=2, window_s=4, moving_s=3)
CYCLES = Plan(tuple(plan_cycles(BLOCKS, (1, 2))), (1, 2), "scripted", blocks=BLOCKS)


def cycling(folder: Path) -> Scripted:
    """A place for four blocks of 25 seconds, whose moves are over within their windows."""
    place = Scripted(folder / "run")
    place.move_s, place.join_s, place.fill_s = 3.0, 1.0, 1.5
    return place


def test_a_run_of_cycles_keeps_every_planned_moment(tmp_path: Path) -> None:
    """Fillings in the time for them, requests and first slots to the moment, however long the nodes take to join."""
    place = cycling(tmp_path)
    driver(place).run(CYCLES, down=False)
    assert place.filled == [
        (pytest.approx(25.0 * block), move.filling.as_at_s)
        for block, move in enumerate(CYCLES.moves[::2])
        if move.filling is not None
    ]
    assert place.told[0] == "cycles.started"
    for name, expected in (
        ("requested", [move.at_s for move in CYCLES.moves]),
        ("slots.started", [move.window[0] for move in CYCLES.moves if move.window]),
    ):
        assert [at_s for event, at_s in place.told_at_s if event.endswith(name)] == pytest.approx(expected)
    run = runfolder.read_run(tmp_path / "run")
    assert run["cycles"] == {"count": 4, "seed": 1, "window_s": 4, "flank_s": 3, "primary": "response.slow"}
    assert run["slow_ms"] == 20.0
    assert "problems" not in run


@pytest.mark.parametrize(
    ("slow", "seconds", "made", "said"),
    [
        ("fill_s", 3.5, 0, "the idle time after filling the sham's cluster was due at 2.0 s and came 1.5 s late"),
        ("join_s", 3.5, 1, "its first slot was due at 7.0 s and came 1.5 s late"),
        ("move_s", 4.5, 1, "it lasted 4.5 s from its first slot to its last node, longer than the window of 4.0 s"),
    ],
)
def test_what_would_overlap_is_refused(tmp_path: Path, slow: str, seconds: float, made: int, said: str) -> None:
    """A filling, a preparation or a move that takes longer than planned ends the moves and makes the run INVALID."""
    place = cycling(tmp_path)
    setattr(place, slow, seconds)
    assert driver(place).run(CYCLES, down=False) == 2
    assert place.calls.count("change") == made
    problems = str(runfolder.read_run(tmp_path / "run")["problems"])
    assert said in problems
    assert "the machine is too busy: end other programs, or lower --load-scale" in problems


def test_the_sham_of_a_single_run_is_filled_before_the_load(tmp_path: Path) -> None:
    """Under load it would take CPU from the control; what the warming writes is added before second 0."""
    place = Scripted(tmp_path / "run")
    place.time = 990.0
    sham = Move("sham", 20.0, 2, filling=Filling(as_at_s=81.0))
    driver(place).run(Plan((sham, *PLAN.moves), (1, 2), "scripted"), down=False)
    assert place.calls[:4] == ["up", "fill", "start", "fill"]
    assert place.filled == [(-10.0, 81.0), (pytest.approx(-0.8), 81.0)]
