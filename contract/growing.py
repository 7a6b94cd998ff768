"""Reads pieces of files of a run folder that may still grow; without numpy, so the load image can have it.

What is not whole, or no row, is left out without a word. `contract.runread` is the reader that says what is damaged.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from contract import runfolder
from contract.damaged import MOST_FILE_BYTES
from contract.files import open_regular
from contract.runfolder import COUNTS, SECONDS_COLUMNS, Second

SESSION_BYTES = 16
_SUMS = ("offered", "sent")  # they follow from the other counts


def last_second(piece: bytes) -> Second | None:
    """The last whole row in a piece of seconds.csv that ends with a line's end; None if it holds none."""
    lines = piece.splitlines(keepends=True)
    return _second(lines[-1]) if lines else None


def acknowledged(folder: Path) -> int:
    """How many sessions sessions.bin holds.

    Raises:
        contract.files.UnusableFileError: it is not a file that can be read.
    """
    try:
        with open_regular(folder / runfolder.SESSIONS, MOST_FILE_BYTES) as stream:
            return os.fstat(stream.fileno()).st_size // SESSION_BYTES
    except FileNotFoundError:
        return 0


def read_sessions(folder: Path, batch: int) -> Iterator[list[bytes]]:
    """The acknowledged sessions, `batch` at a time; half a session at the end (a cut file) is left out.

    Raises:
        contract.files.UnusableFileError: it is not a file that can be read.
    """
    try:
        file = open_regular(folder / runfolder.SESSIONS, MOST_FILE_BYTES)
    except FileNotFoundError:
        return
    with file as stream:
        while piece := stream.read(batch * SESSION_BYTES):
            whole = len(piece) // SESSION_BYTES
            if whole:
                yield [piece[at * SESSION_BYTES : (at + 1) * SESSION_BYTES] for at in range(whole)]


def _second(line: bytes) -> Second | None:
    fields = dict(zip(SECONDS_COLUMNS, line.decode(errors="replace").rstrip("\n").split(","), strict=False))
    if len(fields) < len(SECONDS_COLUMNS) or not line.endswith(b"\n"):
        return None
    try:
        counts = {name: int(fields[name]) for name in ("t_s", "phase", *COUNTS) if name not in _SUMS}
        cold = {"cold": int(fields["cold"]), "said_cold": 1} if fields["cold"] else {}
        causes = dict(part.rsplit(":", 1) for part in fields["causes"].split())
        return Second(**counts, **cold, causes={name: int(count) for name, count in causes.items()})
    except ValueError:
        return None
