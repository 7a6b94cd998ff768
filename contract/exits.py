"""How every command of the project ends: its exit codes, Ctrl-C, and a defect of its own, each in one line.

A command imports this module first and calls `watch`, so that Ctrl-C in the first second, while libraries are loaded,
is one line too.
"""

import argparse
import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn, TextIO

OK = 0
GATE_FAILED = 1
INVALID = 2
"""The run is INVALID, or a step could not be finished; Ctrl-C too."""
USAGE = 64
"""Found before anything was started or written."""
DEFECT = 70
"""An error that nobody foresaw: a defect of the project's own."""

EPILOG = (
    "Exit codes: 0 valid and every gate held, 1 a gate failed, 2 the run is INVALID or a step could not be finished, "
    "64 usage error, nothing was begun, 70 a defect of this program."
)


class Parser(argparse.ArgumentParser):
    """Reports a usage error in one line and exits 64."""

    def error(self, message: str) -> NoReturn:
        """End with the message alone."""
        shown = message if message.isprintable() else ascii(message)
        self.exit(USAGE, f"{self.prog}: {shown} (see {self.prog} --help)\n")


def watch(program: str) -> None:
    """Until `end` takes over, end as it does: for the time in which a command is being imported."""

    def hook(_kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        code = _say(program, error.with_traceback(trace))
        sys.stdout.flush()
        os._exit(code)

    sys.excepthook = hook


def end(program: str, main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code.

    A KeyboardInterrupt that comes out of it is one line and exit code 2, any other exception one line and exit code 70;
    the trace of that is in a file of its own.
    """
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = OK
    except SystemExit as ending:
        if not isinstance(ending.code, str):
            raise
        sys.stderr.write(f"{program}: {ending.code}\n")
        code = INVALID
    except BaseException as error:  # noqa: BLE001 - this is the last line of every command
        code = _say(program, error)
    sys.exit(code)


def _never_fail(stream: TextIO) -> None:
    """Show a character that the terminal's encoding lacks as its escape."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _say(program: str, error: BaseException) -> int:
    if isinstance(error, KeyboardInterrupt):
        sys.stderr.write(f"{program}: interrupted\n")
        return INVALID
    said = ascii(f"{type(error).__name__}: {error}"[:300])  # it may quote a file: nothing in it may act on a terminal
    sys.stderr.write(f"{program}: a defect of this program: {said}; the trace is in {_keep(error)}\n")
    return DEFECT


def _keep(error: BaseException) -> str:
    """Write the trace into a new file of the folder for temporary files."""
    import tempfile  # noqa: PLC0415 - only a defect needs them, and every command imports this module first
    import traceback  # noqa: PLC0415

    try:
        with tempfile.NamedTemporaryFile("w", prefix="trace-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.writelines(traceback.format_exception(error))
            return file.name
    except OSError as problem:
        return f"no file ({problem.strerror})"
