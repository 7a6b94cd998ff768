"""`python -m experiment STEP`: the experiment on AWS, step by step or all at once; it resumes after interruptions."""

from contract.exits import INVALID, OK, USAGE, end, watch

if __name__ == "__main__":
    watch("python -m experiment")

import argparse
import contextlib
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from contract.parser import EPILOG, Parser
from contract.profiles import ProfileError
from contract.runfolder import RunFolderError
from experiment.aws import demand, policy, preflight
from experiment.aws.durations import EXPECTED
from experiment.aws.place import Aws
from experiment.aws.stack import PATIENCE_S, Stack
from experiment.command import add_gate, gates_of, share
from experiment.driver import Experiment
from experiment.errors import ExperimentError, UsageError
from experiment.plan import Move, Plan, plan_reshard
from experiment.screen import Screen
from experiment.state import State, locked
from report.escapes import terminal_lines
from report.gate_metrics import PlannedLoad
from report.gates import GateError

ROOT = Path(__file__).resolve().parent.parent
MIGRATION = "ElastiCache"


def _shards(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is a number of shards from 1 to 999")
    return int(text)


def _share_or_none(text: str) -> float | None:
    return None if text == "none" else share(text)


def _parser() -> Parser:
    parser = Parser(
        prog="python -m experiment",
        description="The experiment on AWS. Each step resumes where it was interrupted; `run` does all of them.",
        epilog=EPILOG,
    )
    stack = Parser(add_help=False)
    stack.add_argument("--stack", default="dev", help="Pulumi stack (default: dev)")
    stack.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where run folders go")
    a_run = Parser(add_help=False)
    a_run.add_argument(
        "--run", default="", metavar="ID", help="the run (default: started here, or the newest; of fetch: the newest)"
    )
    a_run.add_argument("--bucket", default="", help="the results bucket, for a destroyed stack or without Pulumi")
    a_run.add_argument("--region", default="", help="its region (default: the stack's, AWS_REGION or the profile's)")
    judged = Parser(add_help=False)
    add_gate(judged)
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    steps.add_parser("preflight", parents=[stack], help="tools, credentials, quotas, and what it will cost")
    steps.add_parser("up", parents=[stack], help="deploy the stack")
    steps.add_parser("start", parents=[stack], help="start the load")
    reshard = steps.add_parser("reshard", parents=[stack], help="change the number of shards under load")
    reshard.add_argument("--to", type=_shards, required=True, metavar="N", help="shards to have afterwards")
    steps.add_parser("wait", parents=[stack, a_run], help="follow the run to its end")
    steps.add_parser("collect", parents=[stack, a_run], help="bring the run folder here")
    steps.add_parser("audit", parents=[stack, a_run], help="check every acknowledged session")
    steps.add_parser("report", parents=[stack, a_run, judged], help="make the report")
    steps.add_parser(
        "fetch", parents=[stack, a_run, judged], help="collect, audit, report the newest run, whoever started it"
    )
    destroy = steps.add_parser("destroy", parents=[stack], help="remove the stack, list what is left")
    destroy.add_argument("--yes", action="store_true", help="even if a run is not collected")
    rights = steps.add_parser("policy", help="the least-privilege policies that whoever deploys needs, as JSON")
    rights.add_argument("--stack", default="dev", help="Pulumi stack (default: dev)")
    rights.add_argument("--out", type=Path, metavar="DIR", help="write a file each, print the commands that make them")
    ui = steps.add_parser("ui", parents=[stack], help="open the web UI's port on this machine")
    ui.add_argument("--port", type=int, default=8089, help="local port (default: 8089)")
    run = steps.add_parser("run", parents=[stack, judged], help="all of it; needs --destroy or --keep")
    run.add_argument("--to", type=_shards, default=None, metavar="N", help="shards afterwards (default: one more)")
    run.add_argument(
        "--reshard-at", type=_share_or_none, default=0.65, metavar="SHARE", help="65%% of the run, or none"
    )
    after = run.add_mutually_exclusive_group()
    after.add_argument("--destroy", action="store_true", help="remove the stack after the report")
    after.add_argument("--keep", action="store_true", help="leave the stack standing: it continues to cost money")
    return parser


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.step == "run" and not (options.destroy or options.keep):
        parser.error(
            "run: choose what happens to the stack: --destroy removes it after the report, --keep leaves it standing. "
            "A standing stack costs about a dollar an hour, 500 to 800 dollars in a forgotten month; "
            "`preflight` prints what yours costs"
        )
    return options


def _plan(stack: Stack, state: State, options: argparse.Namespace) -> Plan:
    """What `run` was asked for; repeated after an interruption, it keeps what the first command asked for."""
    command = state.get("asked")
    if command is None:
        before = stack.settings.shard_count
        command = {"from": before, "to": options.to or before + 1, "reshard_at": options.reshard_at}
    if options.to is not None and options.to != command["to"]:
        difference = f"{options.to}, but the interrupted run has {command['to']}"
        raise UsageError("run", "--to", difference, "leave it out")
    moves: list[Move] = []
    schedule = demand.schedule(stack.settings, stack.root)
    gates_of(options.gate, PlannedLoad([phase.name for phase in schedule.phases], command["reshard_at"] is not None))
    if command["reshard_at"] is not None:
        moves = plan_reshard(schedule, float(command["reshard_at"]), int(command["to"]), sham=False)
    state.save(asked=command)
    return Plan(tuple(moves), (int(command["from"]), int(command["to"])), MIGRATION)


def _do(experiment: Experiment, stack: Stack, options: argparse.Namespace) -> int:
    step: str = options.step
    state = experiment.state
    if step == "run":
        plan = _plan(stack, state, options)
        if not state.done("start") and not state.done("up"):
            _preflight(stack, state, plan.shards[1])
        return experiment.run(plan, down=options.destroy)
    if step in ("report", "fetch"):
        return experiment.report() if step == "report" else experiment.fetch()
    if step == "preflight":
        _preflight(stack, state, None)
    elif step == "reshard":
        experiment.change(Move("real", 0.0, options.to))
    elif step == "destroy":
        experiment.down()
    elif step == "ui":
        _show_ui(stack, options.port)
    else:
        getattr(experiment, step)()
    return OK


def _preflight(stack: Stack, state: State, shards: int | None) -> None:
    with stack.screen.step("preflight"):
        preflight.look(stack, state, shards)


def _show_ui(stack: Stack, local_port: int) -> None:
    """Open the port-forward and keep it until Ctrl-C."""
    with stack.port_forward("ui", local_port=local_port) as forward:
        stack.screen.say(f"{forward.url}  (Ctrl-C ends it; the load goes on)")
        while not forward.ended():
            stack.cloud.sleep(1)
    raise ExperimentError(f"ui: {forward.url}: the session ended; the load goes on, run the same command again")


def _state(stack: Stack, options: argparse.Namespace) -> State:
    """What was done so far. A run that was named or started elsewhere gets a state of its own."""
    state = State.load(options.runs, options.stack)
    mine = state.get("run_id")
    if options.step not in ("wait", "collect", "audit", "report", "fetch"):
        return state
    if mine and options.run in ("", mine) and options.step != "fetch":
        return state
    named = options.run or stack.newest(options.step)
    return state if named == mine else state.of_another(named, options.runs / named)


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Run one command and give its exit code."""
    options = _options(arguments)
    words = list(arguments) if arguments is not None else sys.argv[1:]
    place: Aws | None = None
    with Screen(expected={step: f"{known.text()} ({known.source})" for step, known in EXPECTED.items()}) as screen:
        try:
            if options.step == "policy":
                return policy.run(options.stack, options.out)
            gates = gates_of(getattr(options, "gate", []))
            # `ui` changes nothing, so it may run beside another command.
            with contextlib.nullcontext() if options.step == "ui" else locked(options.runs, options.stack):
                stack = Stack(
                    options.stack,
                    screen,
                    root=root,
                    runs=options.runs,
                    bucket=getattr(options, "bucket", ""),
                    region=getattr(options, "region", ""),
                    patience_s=PATIENCE_S if sys.stdin.isatty() else 0.0,
                )
                state = _state(stack, options)
                place = Aws(stack, state, sure=getattr(options, "yes", False))
                command = "python -m experiment " + shlex.join(words)
                notes = {"stack": options.stack, "command": command}
                code = _do(Experiment(place, state, screen, gates=gates, notes=notes), stack, options)
        except (RunFolderError, ProfileError, GateError) as error:
            screen.problem(str(error))
            code = USAGE
        except ExperimentError as error:
            screen.problem(str(error))
            code = error.exit_code
        except KeyboardInterrupt:
            screen.problem("interrupted")
            code = INVALID
    standing = place.standing() if place is not None and options.step not in ("report", "ui") else ""
    if standing:
        sys.stderr.write(terminal_lines(standing) + "\n")
    return code


if __name__ == "__main__":
    end("python -m experiment", main)
