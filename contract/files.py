"""Files that somebody else may have made: read without following links, written beside and renamed.

A run folder may come from anywhere. A file in it is opened only if it is a regular one: a FIFO would block, a device
has no end, and a link may lead out of the folder. The folder itself may be a link: whoever names it means what it
leads to.
"""

import errno
import json
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class UnusableFileError(ValueError):
    """What stands where a file should; the message goes on after the file's name: `is a folder, not a file`."""


def open_regular(path: Path, most_bytes: int) -> BinaryIO:
    """Open a file to read.

    What was opened is what is looked at, so nothing can be put in its place in between.

    Raises:
        FileNotFoundError: there is nothing of that name.
        UnusableFileError: it is no regular file, cannot be read, or is longer than `most_bytes`.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise UnusableFileError("is a link; put the file itself there") from None
        raise UnusableFileError(f"cannot be read ({error.strerror})") from None
    status = os.fstat(descriptor)
    kind = next((name for holds, name in _KINDS if holds(status.st_mode)), "no regular file")
    problem = ""
    if not stat.S_ISREG(status.st_mode):
        problem = f"is {kind}, not a file"
    elif status.st_size > most_bytes:
        problem = f"has {status.st_size:,} bytes; at most {most_bytes:,} are read"
    if problem:
        os.close(descriptor)
        raise UnusableFileError(problem)
    return os.fdopen(descriptor, "rb")


def replace(path: Path, content: bytes) -> None:
    """Write a file in one step. A link in its place is replaced, and what it leads to stays as it is.

    Raises:
        OSError: the folder cannot be written into, or a folder stands in the file's place.
    """
    beside = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def replace_json(path: Path, content: Mapping[str, object]) -> None:
    """Write a small JSON file in one step."""
    replace(path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode("utf-8", "replace"))
