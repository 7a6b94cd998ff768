"""The command line of a rehearsal, read and checked before anything starts."""

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contract import profiles, runfolder
from contract.parser import EPILOG, Parser
from contract.profiles import ProfileError
from contract.schedule import Schedule
from experiment.command import add_gate, gates_of, share
from experiment.errors import OptionsError
from experiment.plan import Plan, plan_cycles, plan_reshard
from infra import settings as infra_settings
from infra.settings import Settings, SettingsError
from rehearsal import cycles
from rehearsal.reshard import SLOTS_A_JOB, SLOTS_PER_S, Migration
from rehearsal.server import refuse_without_migrateslots
from report.gate_metrics import PlannedLoad

DEFAULT_COMPRESS = "24"
# A stall of 0.25 s at the default peak of 900/s has 225 invocations in flight. 64 were too few: 85 invocations waited
# in the second in which slots began to move one by one.
_ENVIRONMENTS = 256


@dataclass(frozen=True)
class Options:
    """A checked rehearsal."""

    stack: str
    values: dict[str, object]
    settings: Settings
    profile_file: Path | None
    schedule: Schedule
    plan: Plan
    migration: Migration
    slots_per_s: float
    out: Path | None
    server: Path | None
    environments: int
    gates: list[str]
    command: str


def read(arguments: Sequence[str]) -> Options:
    """Read the command line; every setting and file is checked here.

    Raises:
        OptionsError: something cannot be used; nothing has been started.
        SystemExit: argparse's own complaints (64) and --help (0).
    """
    parsed = _parser().parse_args(arguments)
    shards = _shards(parsed.shards)
    overrides: dict[str, object] = dict(_pair(text) for text in parsed.set)
    profile_file = _profile_file(parsed.load_profile)
    default_profile = cycles.PROFILE if parsed.cycles is not None else None
    load_settings: dict[str, object | None] = {
        "loadProfile": None if profile_file else parsed.load_profile or default_profile,
        "loadScale": parsed.load_scale,
        "loadCompress": parsed.load_compress,
    }
    overrides |= {name: value for name, value in load_settings.items() if value is not None}
    try:
        values = infra_settings.from_files(infra_settings.ROOT, parsed.stack, overrides)
        if "loadCompress" not in overrides:
            values["loadCompress"] = "1" if parsed.cycles is not None else DEFAULT_COMPRESS
        values["shardCount"] = shards[1]
        infra_settings.check(values)
        values["shardCount"] = shards[0]
        settings = infra_settings.check(values)
    except SettingsError as error:
        raise OptionsError("\n".join(error.problems)) from error
    migration: Migration = parsed.migration
    profile = str(profile_file or settings.load_profile)
    schedule = _schedule(profile, settings)
    plan = _plan(parsed, schedule, shards)
    if plan.blocks is not None:
        if profile == cycles.PROFILE and "loadCompress" not in overrides:
            values["loadCompress"] = cycles.compression(plan.blocks, schedule)
            settings = infra_settings.check(values)
            schedule = _schedule(profile, settings)
        cycles.check_length(plan.blocks, schedule)
    if parsed.out is not None and parsed.out.exists():
        raise OptionsError(f"--out {parsed.out}: it exists already; name a folder that does not, or remove it")
    if parsed.server is not None and not parsed.server.is_file():
        raise OptionsError(f"--server {parsed.server}: no such file; name a valkey-server or redis-server program")
    if parsed.server is not None and migration != "slots":
        refuse_without_migrateslots(parsed.server, migration)
    return Options(
        stack=parsed.stack,
        values=values,
        settings=settings,
        profile_file=profile_file,
        schedule=schedule,
        plan=plan,
        migration=migration,
        slots_per_s=parsed.slots_per_s,
        out=parsed.out,
        server=parsed.server,
        environments=parsed.environments,
        gates=gates_of(parsed.gate, PlannedLoad([phase.name for phase in schedule.phases], plan.blocks is None)),
        command="python -m rehearsal " + " ".join(arguments),
    )


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="python -m rehearsal",
        description="Add a shard to a real Valkey cluster under load, on this machine, and report what it did.",
        epilog=EPILOG,
    )
    parser.add_argument("--load-profile", metavar="NAME|FILE", help="a profile of locust/profiles or a file")
    parser.add_argument("--load-scale", metavar="X", help="factor on the rates (default: setting loadScale)")
    parser.add_argument(
        "--load-compress", metavar="N", help=f"divide durations by N, keep rates (default: {DEFAULT_COMPRESS})"
    )
    parser.add_argument("--shards", default="1:2", metavar="A:B", help="shards before and after (default: 1:2)")
    parser.add_argument(
        "--reshard-at", type=share, default=0.65, metavar="SHARE", help="of the run's length (default: 65%%)"
    )
    parser.add_argument(
        "--migration",
        choices=("batches", "slots", "atomic"),
        default="batches",
        help=f"how slots move: by CLUSTER MIGRATESLOTS, {SLOTS_A_JOB} a job (the default); slot by slot, with MIGRATE; "
        "or all by one job",
    )
    parser.add_argument(
        "--slots-per-s",
        type=_rate,
        default=SLOTS_PER_S,
        metavar="N",
        help=f"pace of --migration batches and slots (default: {SLOTS_PER_S:.0f})",
    )
    parser.add_argument(
        "--cycles",
        type=int,
        metavar="K",
        help="K blocks at constant rate, each a real and a sham move of one direction in random order; K is even, "
        f"at least {cycles.LEAST}, and from {cycles.FOR_AN_INTERVAL} on there are intervals",
    )
    parser.add_argument(
        "--seed", type=int, metavar="N", help="repeats the order of a run of --cycles (default: a fresh one)"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of Pulumi.yaml")
    parser.add_argument("--stack", default="dev", help="whose Pulumi.<stack>.yaml is read (default: dev)")
    parser.add_argument("--out", type=Path, metavar="DIR", help="the run folder (default: runs/<UTC start>-<stack>)")
    add_gate(parser)
    parser.add_argument("--server", type=Path, metavar="PATH", help="a valkey-server or redis-server of your own")
    parser.add_argument(
        "--environments",
        type=_positive,
        default=_ENVIRONMENTS,
        metavar="N",
        help=f"most function environments (default: {_ENVIRONMENTS})",
    )
    return parser


def _schedule(profile: str, settings: Settings) -> Schedule:
    try:
        return Schedule(profiles.load(profile, scale=settings.load_scale, compress=settings.load_compress))
    except ProfileError as error:
        raise OptionsError(str(error)) from error


def _plan(parsed: argparse.Namespace, schedule: Schedule, shards: tuple[int, int]) -> Plan:
    pace = None if parsed.migration == "atomic" else parsed.slots_per_s
    if parsed.cycles is None:
        middle_s = cycles.JOINING_S + cycles.moving_s(shards, pace) / 2
        moves = plan_reshard(schedule, parsed.reshard_at, shards[1], sham=True, middle_after_s=middle_s)
        return Plan(tuple(moves), shards, parsed.migration, pace)
    blocks = cycles.lay_out(parsed.cycles, parsed.seed, schedule, shards=shards, slots_per_s=pace)
    return Plan(tuple(plan_cycles(blocks, shards)), shards, parsed.migration, pace, blocks)


def _shards(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d{1,3}):(\d{1,3})", text)
    before, after = (int(match[1]), int(match[2])) if match else (0, 0)
    if before < 1 or after < 1 or before == after:
        raise OptionsError(f"--shards {text}: two different numbers of shards, each at least 1, such as 1:2")
    return before, after


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise OptionsError(f"--set {text}: KEY=VALUE, such as --set replicasPerShard=2")
    return name, value


def _profile_file(name: str | None) -> Path | None:
    """A profile named as a file; None for the name of a shipped one."""
    if name is None or name in profiles.shipped():
        return None
    return Path(name).resolve() if Path(name).is_file() or name.endswith((".yml", ".yaml")) or "/" in name else None


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _rate(text: str) -> float:
    if not re.fullmatch(r"\d{1,6}(\.\d+)?", text) or float(text) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of slots a second above 0")
    return float(text)


def default_out(stack: str, now_unix_s: float) -> Path:
    """runs/<UTC start>-<stack>, with -2, -3 ... if another rehearsal started in the same second."""
    return runfolder.free_folder(Path("runs") / runfolder.folder_name(now_unix_s, stack))
