"""The invocation's own time limit."""

import pytest

from function.deadline import Deadline
from tests.function.support import Invocation


@pytest.mark.parametrize(
    ("lambda_s", "own_s"), [(15.0, 14.5), (5.0, 4.5), (3.0, 2.7), (1.0, 0.9), (0.1, 0.09), (0.0, 0.0)]
)
def test_it_comes_a_little_before_lambdas(lambda_s: float, own_s: float) -> None:
    """Past Lambda's limit the caller gets a 502 that says nothing; time to log and answer must be left."""
    assert Deadline.of(Invocation(lambda_s)).left() == pytest.approx(own_s, abs=0.02)


def test_a_step_gets_a_share_of_what_is_left() -> None:
    """A silent node must not use up the time that a second try needs."""
    deadline = Deadline(12.0)
    now = deadline.at - deadline.left()
    assert deadline.share(1 / 3, 5.0) - now == pytest.approx(4.0, abs=0.02)
    assert deadline.share(1 / 3, 1.5) - now == pytest.approx(1.5, abs=0.02)
    assert Deadline(-1.0).share(1 / 3, 1.5) - now == pytest.approx(0.0, abs=0.02)
