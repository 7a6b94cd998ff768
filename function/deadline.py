"""The moment by which an invocation must have answered."""

import time
from typing import Protocol


class LambdaContext(Protocol):
    """The part of Lambda's context object that is used here."""

    aws_request_id: str

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""
        ...


class Deadline:
    """A fixed moment on the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    @classmethod
    def of(cls, context: LambdaContext) -> "Deadline":
        """Lambda's limit minus time to log and answer: a tenth of the time left, at most 0.5 s."""
        left = context.get_remaining_time_in_millis() / 1000
        return cls(left - min(0.5, left / 10))

    def left(self) -> float:
        """Seconds left; negative once the moment has passed."""
        return self.at - time.monotonic()

    def share(self, part: float, at_most: float) -> float:
        """The moment by which one step must end: leaves time for another try."""
        now = time.monotonic()
        most = (self.at - now) * part
        if most > at_most:
            return now + at_most
        return now + most if most > 0 else now
