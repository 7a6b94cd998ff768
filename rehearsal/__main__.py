"""`python -m rehearsal`: add a shard to a real cluster under load on this machine, and report what it did."""

from contract.exits import USAGE, end, watch

if __name__ == "__main__":
    watch("python -m rehearsal")

import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from experiment.driver import Experiment
from experiment.errors import OptionsError
from experiment.screen import Screen
from experiment.state import State
from infra.settings import shown
from rehearsal import options
from rehearsal.place import Here
from report.escapes import terminal

_LINE_EVERY_S = 5.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and give its exit code."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        chosen = options.read(words)
    except OptionsError as error:
        sys.stderr.write("".join(f"python -m rehearsal: {terminal(line)}\n" for line in str(error).splitlines()))
        return USAGE
    # A shell that starts this in the background makes it ignore Ctrl-C. SIGTERM ends it in order too.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    run_dir = (chosen.out or options.default_out(chosen.stack, time.time())).resolve()
    with Screen(quiet_every_s=_LINE_EVERY_S) as screen:
        place = Here(chosen, run_dir, screen)
        notes = {"stack": chosen.stack, "settings": shown(chosen.settings), "command": chosen.command}
        experiment = Experiment(place, State.in_memory(chosen.stack), screen, gates=chosen.gates, notes=notes)
        return experiment.run(chosen.plan, down=False)


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    end("python -m rehearsal", main)
