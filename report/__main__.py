"""`python -m report RUN [--gate EXPR]...`: make the report of a run folder, and judge it by gates."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from loadgen.runread import RunFolderError
from report import gates
from report.assemble import DEFAULT_GATES, build

USAGE = 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what was wrong in one line; usage errors exit 64."""
        self.exit(USAGE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    parser = _Parser(
        prog="python -m report",
        description="Report on a finished run folder: report.html, report.json, report.md and timeline.svg, in it.",
        epilog="Exit codes: 0 valid and every gate held, 1 a gate failed, 2 the run is INVALID, 64 usage error. "
        "`python -m report compare --help` compares runs.",
    )
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument(
        "--gate", action="append", default=[], metavar="EXPR", help='such as "read.p99 < 5ms"; repeatable'
    )
    parser.add_argument("--gates", type=Path, metavar="FILE", help=f"gates in place of those of {DEFAULT_GATES.name}")
    parser.add_argument("--no-gates", action="store_true", help=f"judge by --gate alone, not by {DEFAULT_GATES.name}")
    options = parser.parse_args(arguments)
    try:
        texts = [] if options.no_gates else gates.read_gates(options.gates or DEFAULT_GATES)
        result = build(options.run, [*texts, *options.gate])
    except (RunFolderError, gates.GateError, OSError) as error:
        sys.stderr.write(f"python -m report: {error}\n")
        return USAGE
    sys.stdout.write(f"{result.verdict}\n{result.html}\n")
    return result.exit_code


if __name__ == "__main__":
    sys.exit(main())
