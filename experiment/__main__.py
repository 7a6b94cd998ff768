"""`python -m experiment STEP`: the experiment on AWS, step by step or all in one, going on after any interruption."""

import argparse
import contextlib
import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from contract.runread import RunFolderError
from experiment import policy
from experiment.errors import INVALID, OK, USAGE, StepError, UsageError
from experiment.screen import Screen
from experiment.stack import PATIENCE_S, Wanted
from experiment.state import State, locked
from experiment.steps import Experiment
from report import gates
from report.assemble import DEFAULT_GATES

ROOT = Path(__file__).resolve().parent.parent


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what was wrong in one line; usage errors exit 64."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def _share(text: str) -> float | None:
    """`65%` or `0.65`; `none` for no reshard."""
    if text == "none":
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(%?)", text)
    share = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is a share of the run such as 65% or 0.65, or none")
    return share


def _shards(text: str) -> int:
    if not re.fullmatch(r"[1-9]\d{0,2}", text):
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is a number of shards from 1 to 999")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m experiment",
        description="The experiment on AWS. Each step goes on where it was interrupted; `run` does all of them.",
        epilog="Exit codes: 0 valid and every gate held, 1 a gate failed, 2 the run is INVALID or a step could not be "
        "finished (run the same command again: it goes on), 64 usage error, nothing was begun.",
    )
    shared = _Parser(add_help=False)
    shared.add_argument("--stack", default="dev", help="Pulumi stack (default: dev)")
    shared.add_argument("--runs", type=Path, default=Path("runs"), metavar="DIR", help="where run folders go")
    found = _Parser(add_help=False)
    found.add_argument(
        "--run", default="", metavar="ID", help="the run (default: started here, or the newest; of fetch: the newest)"
    )
    found.add_argument("--bucket", default="", help="the results bucket of a stack that is gone, or without Pulumi")
    found.add_argument("--region", default="", help="its region (default: the stack's, AWS_REGION or the profile's)")
    judged = _Parser(add_help=False)
    judged.add_argument("--gate", action="append", metavar="EXPR", help='such as "read.p99 < 5ms"; repeatable')
    steps = parser.add_subparsers(dest="step", required=True, metavar="STEP")
    steps.add_parser("preflight", parents=[shared], help="tools, credentials, quotas, and what it will cost")
    steps.add_parser("up", parents=[shared], help="deploy the stack")
    steps.add_parser("start", parents=[shared], help="start the load")
    reshard = steps.add_parser("reshard", parents=[shared], help="change the number of shards under load")
    reshard.add_argument("--to", type=_shards, required=True, metavar="N", help="shards to have afterwards")
    steps.add_parser("wait", parents=[shared, found], help="follow the run to its end")
    collect = steps.add_parser("collect", parents=[shared, found], help="bring the run folder here")
    collect.add_argument("--no-function-log", action="store_true", help="leave the function's log lines out")
    steps.add_parser("audit", parents=[shared, found], help="check every acknowledged session")
    steps.add_parser("report", parents=[shared, found, judged], help="make the report")
    fetch = steps.add_parser(
        "fetch",
        parents=[shared, found, judged],
        help="collect, audit, report the newest run, whoever started it",
    )
    fetch.add_argument("--no-function-log", action="store_true", help="leave the function's log lines out")
    destroy = steps.add_parser("destroy", parents=[shared], help="remove the stack, list what is left")
    destroy.add_argument("--yes", action="store_true", help="also when a run is not collected")
    rights = steps.add_parser("policy", help="the least-privilege policies that whoever deploys needs, as JSON")
    rights.add_argument("--stack", default="dev", help="Pulumi stack (default: dev)")
    rights.add_argument("--out", type=Path, metavar="DIR", help="write a file each, print the commands that make them")
    ui = steps.add_parser("ui", parents=[shared], help="open the web UI's port on this machine")
    ui.add_argument("--port", type=int, default=8089, help="local port (default: 8089)")
    run = steps.add_parser("run", parents=[shared, judged], help="all of it; needs --destroy or --keep")
    run.add_argument("--to", type=_shards, default=None, metavar="N", help="shards afterwards (default: one more)")
    run.add_argument("--reshard-at", type=_share, default=0.65, metavar="SHARE", help="65%% of the run, or none")
    run.add_argument("--no-function-log", action="store_true", help="leave the function's log lines out")
    after = run.add_mutually_exclusive_group()
    after.add_argument("--destroy", action="store_true", help="remove the stack after the report")
    after.add_argument("--keep", action="store_true", help="leave the stack standing: it goes on costing")
    return parser


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.step == "run" and not (options.destroy or options.keep):
        parser.error(
            "run: say what becomes of the stack: --destroy removes it after the report, --keep leaves it standing. "
            "Left standing it costs in the order of a dollar an hour, 500 to 800 dollars a forgotten month; "
            "`preflight` prints what yours costs"
        )
    return options


def _do(experiment: Experiment, options: argparse.Namespace) -> int:
    step: str = options.step
    if step == "run":
        return experiment.run(to=options.to, reshard_at=options.reshard_at, destroy=options.destroy)
    if step in ("report", "fetch"):
        return experiment.report() if step == "report" else experiment.fetch()
    if step == "reshard":
        experiment.reshard(options.to)
    elif step == "destroy":
        experiment.destroy(sure=options.yes)
    elif step == "ui":
        experiment.ui(options.port)
    else:
        getattr(experiment, step)()
    return OK


def main(arguments: Sequence[str] | None = None, *, root: Path = ROOT) -> int:
    """Run one command and give its exit code."""
    options = _options(arguments)
    words = list(arguments) if arguments is not None else sys.argv[1:]
    screen = Screen()
    experiment = None
    try:
        if options.step == "policy":
            return policy.run(options.stack, options.out)
        texts = [*gates.read_gates(DEFAULT_GATES), *(getattr(options, "gate", None) or ())]
        for text in texts:
            gates.parse(text)
        # The UI only looks: it may be open beside a run.
        with contextlib.nullcontext() if options.step == "ui" else locked(options.runs, options.stack):
            wanted = Wanted(
                stack=options.stack,
                root=root,
                runs=options.runs,
                bucket=getattr(options, "bucket", ""),
                region=getattr(options, "region", ""),
                run_id=getattr(options, "run", "") or "",
                function_log=not getattr(options, "no_function_log", False),
                gates=texts,
                command="python -m experiment " + shlex.join(words),
                patience_s=PATIENCE_S if sys.stdin.isatty() else 0.0,
            )
            experiment = Experiment(wanted, State.load(options.runs, options.stack), screen)
            code = _do(experiment, options)
    except (UsageError, gates.GateError, RunFolderError) as error:
        sys.stderr.write(f"{error}\n")
        code = USAGE
    except StepError as error:
        sys.stderr.write(f"{error}\n")
        code = INVALID
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        code = INVALID
    standing = experiment.standing() if experiment is not None and options.step not in ("report", "ui") else ""
    if standing:
        sys.stderr.write(standing + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
