"""`python -m report RUN [--gate EXPR]...`: make the report of a run folder, and judge it by gates."""

from contract.exits import INVALID, USAGE, end, watch

if __name__ == "__main__":
    watch("python -m report")

import sys
from collections.abc import Sequence
from pathlib import Path

from contract.parser import EPILOG, Parser
from contract.runfolder import RunFolderError
from report import gates
from report.assemble import DEFAULT_GATES, build
from report.compare import CompareError, compare
from report.escapes import terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _compare(words[1:]) if words[:1] == ["compare"] else _report(words)


def _compare(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m report compare",
        description="Lay the charts of runs over each other, with a table of differences and of what was not alike.",
        epilog=EPILOG,
    )
    parser.add_argument("runs", type=Path, nargs="+", metavar="RUN", help="the run folders; the first is the base")
    parser.add_argument("--out", type=Path, default=Path("compare.html"), help="the file to write (compare.html)")
    options = parser.parse_args(arguments)
    try:
        result = compare(options.runs, options.out)
    except (RunFolderError, CompareError, OSError) as error:
        return _failed("python -m report compare", error)
    if result.unlike:
        sys.stdout.write("The runs were not alike in:\n" + "".join(f"  {terminal(item)}\n" for item in result.unlike))
    sys.stdout.write("".join(f"INVALID: {terminal(name)}\n" for name in result.invalid) + f"{terminal(result.html)}\n")
    return result.exit_code


def _failed(program: str, error: Exception) -> int:
    """Say why there is no report: a usage error, or a file that could not be written."""
    sys.stderr.write(f"{program}: {terminal(error)}\n")
    return INVALID if isinstance(error, OSError) else USAGE


def _report(arguments: Sequence[str]) -> int:
    parser = Parser(
        prog="python -m report",
        description="Report on a finished run folder: report.html, report.json, report.md and timeline.svg, in it.",
        epilog=f"{EPILOG} `python -m report compare --help` compares runs.",
    )
    parser.add_argument("run", type=Path, help="the run folder")
    parser.add_argument(
        "--gate", action="append", default=[], metavar="EXPR", help='such as "read.p99 < 5ms"; repeatable'
    )
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument(
        "--gates",
        type=Path,
        metavar="FILE",
        help=f"gates in place of those that the run was started with (if it keeps none: {DEFAULT_GATES.name})",
    )
    whose.add_argument("--no-gates", action="store_true", help="judge by --gate alone")
    options = parser.parse_args(arguments)
    try:
        texts = [] if options.no_gates else gates.read_gates(options.gates) if options.gates else None
        result = build(options.run, texts, added=options.gate)
    except (RunFolderError, gates.GateError, OSError) as error:
        return _failed("python -m report", error)
    sys.stdout.write(f"{result.verdict}\n{terminal(result.html)}\n")
    return result.exit_code


if __name__ == "__main__":
    end("python -m report", main)
