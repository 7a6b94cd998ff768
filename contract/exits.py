"""How every command of the project ends: its exit codes, Ctrl-C, and a defect of its own, each in one line.

A command imports this module first and calls `watch`, so that Ctrl-C in the first second, while libraries are loaded,
is one line too. That is why it imports next to nothing.
"""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import NoReturn, TextIO

OK = 0
GATE_FAILED = 1
INVALID = 2
"""The run is INVALID, or a step could not be finished; Ctrl-C too."""
USAGE = 64
"""Found before anything was started or written."""
DEFECT = 70
"""An error that nobody foresaw: a defect of the project's own."""


def watch(program: str) -> None:
    """Until `end` takes over, end as it does, at once: while a command is being imported, there is nothing to clean up.

    A KeyboardInterrupt would not do: libraries written in C make other errors of it.
    """

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        os.write(2, f"{program}: interrupted\n".encode())
        os._exit(INVALID)

    def defect(_kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        code = _say(program, error.with_traceback(trace))
        sys.stderr.flush()
        os._exit(code)

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell may have it ignored
        signal.signal(signal.SIGINT, interrupted)
    sys.excepthook = defect


def end(program: str, main: Callable[[], int]) -> NoReturn:
    """Run a command and exit with its code.

    A KeyboardInterrupt that comes out of it is one line and exit code 2, any other exception one line and exit code 70;
    the trace of that is in a file of its own.
    """
    for stream in (sys.stdout, sys.stderr):
        _never_fail(stream)
    code: object = INVALID
    try:
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:  # nobody reads the output: what came of the run must not become a success by that
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except SystemExit as ending:
        code = ending.code
        if isinstance(code, str):
            sys.stderr.write(f"{program}: {code}\n")
            code = INVALID
    except BaseException as error:  # noqa: BLE001 - this is the last line of every command
        code = _say(program, error)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it is over: Ctrl-C while Python takes itself down changes nothing
    sys.exit(code)  # pyright: ignore[reportArgumentType] - what argparse exits with is a number


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
