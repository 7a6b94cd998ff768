"""The clock of both sides of the generator."""

import time


class Clock:
    """UTC that never jumps: the system's time at the start, carried on by the monotonic clock."""

    def __init__(self) -> None:
        self._offset = time.time() - time.monotonic()

    def now(self) -> float:
        """Seconds since 1970."""
        return time.monotonic() + self._offset

    def monotonic(self, unix_s: float) -> float:
        """The monotonic time of a UTC time."""
        return unix_s - self._offset
