"""Connections that the server was asked to close. The side that closes first keeps its port blocked for a minute."""

import socket
import struct
from collections import deque
from typing import Any

CHECK_S = 0.02  # when to look whether the server has closed its side
WAIT_S = 1.0  # how long it may take
_RESET = struct.pack("ii", 1, 0)  # no linger: close() sends a reset, and the port is free at once


class Closing:
    """Sockets whose reply is read. The loop does not wake up for them; `tidy` checks them a few times a second."""

    def __init__(self) -> None:
        self._fresh: deque[tuple[float, Any]] = deque()
        self._open: deque[tuple[float, Any]] = deque()

    def add(self, sock: Any, now_s: float) -> None:
        """Wait for the server to close a connection whose reply is read."""
        self._fresh.append((now_s, sock))

    def tidy(self, now_s: float) -> None:
        """Close what the server has closed, and reset what it left open for too long."""
        while self._fresh and now_s - self._fresh[0][0] > CHECK_S:
            since_s, sock = self._fresh.popleft()
            if _closed_by_peer(sock):
                sock.close()
            else:
                self._open.append((since_s, sock))
        while self._open and now_s - self._open[0][0] > WAIT_S:
            sock = self._open.popleft()[1]
            if not _closed_by_peer(sock):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()

    def close(self) -> None:
        """Close every socket now."""
        for _, sock in (*self._fresh, *self._open):
            sock.close()


def _closed_by_peer(sock: Any) -> bool:
    try:
        return not sock.recv(1024)  # b"" is the end; other bytes were not asked for
    except BlockingIOError:
        return False
    except OSError:
        return True
