"""What a client says of its failure when the time ends in the middle of a try."""

import pytest

from function.cache_settings import CacheSettings
from function.client import CacheError, ClusterClient, OutOfTimeError, UnavailableError
from function.deadline import Deadline
from function.redispy import LostError, SilentError


class _Scripted(Deadline):
    """A deadline whose answers are scripted."""

    def __init__(self, *left_s: float) -> None:
        super().__init__(0.0)
        self._left_s = list(left_s)

    def left(self) -> float:
        """The next answer."""
        return self._left_s.pop(0)


@pytest.mark.parametrize(
    ("left_at_last_try_s", "expected"), [(0.002, UnavailableError), (0.9, OutOfTimeError)], ids=["no time", "time"]
)
def test_silence_counts_only_where_there_was_time_to_answer(
    left_at_last_try_s: float, expected: type[CacheError]
) -> None:
    """Broken replies until the time is up are 503, however the last try ends; a node that is silent is 504."""
    failures = [LostError("garbage"), SilentError("Timeout connecting to server")]

    def fails(_subject: str, _deadline: Deadline) -> str:
        raise failures.pop(0)

    deadline = _Scripted(1.0, 1.0, left_at_last_try_s, 0.0)
    with pytest.raises(expected):
        ClusterClient(CacheSettings("127.0.0.1", 6379)).persist(fails, "subject", deadline)
    assert failures == []
