"""What the command lines of both places share."""

import argparse
import re

from experiment.errors import OptionsError
from report import gates
from report.assemble import DEFAULT_GATES
from report.gate_metrics import PlannedLoad


def share(text: str) -> float:
    """`65%` or `0.65`, an argparse type."""
    match = re.fullmatch(r"(\d{1,3}(?:\.\d+)?)\s*(%?)", text)
    value = float(match[1]) / (100 if match[2] else 1) if match else -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: allowed is a share of the run such as 65% or 0.65")
    return value


def add_gate(parser: argparse.ArgumentParser) -> None:
    """`--gate`, the same everywhere."""
    parser.add_argument(
        "--gate", action="append", default=[], metavar="EXPR", help='such as "read.p99 < 5ms"; repeatable'
    )


def gates_of(added: list[str], load: PlannedLoad | None = None) -> list[str]:
    """The repository's gates and those of the command line, checked before anything starts against what is planned.

    Raises:
        OptionsError: one is not a gate.
    """
    try:
        texts = [*gates.read_gates(DEFAULT_GATES), *added]
        for text in texts:
            gates.parse(text, load=load)
    except gates.GateError as error:
        raise OptionsError(str(error)) from error
    return texts
