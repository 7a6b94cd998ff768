"""When a reply came to this machine, by the kernel's own stamp, however late it is read.

The sender waits for the next send and reads the replies then: the stamp keeps its own delays out of the service time.
Only Linux stamps what comes over TCP; elsewhere a reply counts as come when it is read.
"""

import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

from loadgen import plain

_SO_TIMESTAMPNS_NEW = 64  # asm-generic/socket.h, since Linux 5.1; "new": two 64-bit numbers on every machine
_STAMP = struct.Struct("qq")  # seconds since 1970, nanoseconds
SPACE = socket.CMSG_SPACE(_STAMP.size)  # for `recvmsg`
Notes = list[tuple[int, int, bytes]]  # what the kernel adds to a read: level, kind, content


def stamp(sock: Any) -> bool:
    """Let the kernel stamp what this socket receives; whether it can."""
    if sys.platform != "linux":
        return False
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS_NEW, 1)
    except OSError:
        return False
    return True


class Stamps:
    """Reads stamps in seconds of the run, whose clock `now` is."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.seen = False  # whether the last reply bore a stamp
        self._now = now
        # The kernel stamps while any socket asks for it. This socket always does, so stamping is never switched off.
        self._keeper = plain.plain_socket()(socket.AF_INET, socket.SOCK_STREAM)
        self.possible = stamp(self._keeper)
        self._system_ns, self._run_s = 0, 0.0

    def mark(self) -> None:
        """Note the system's clock beside the run's: once for the replies that are about to be read."""
        self._system_ns, self._run_s = time.time_ns(), self._now()

    def arrived_s(self, notes: Notes, sent_s: float) -> float:
        """When a reply came: by the stamp on its last piece; without one, or with an unbelievable one, now."""
        now = self._now()
        self.seen = bool(notes)
        if notes:
            seconds, ns = _STAMP.unpack(notes[0][2])
            arrived_s: float = self._run_s + (seconds * 1_000_000_000 + ns - self._system_ns) * 1e-9
            if sent_s < arrived_s < now:  # else the system's clock was set meanwhile
                return arrived_s
        return now

    def close(self) -> None:
        """Close the socket that keeps the kernel stamping."""
        self._keeper.close()
