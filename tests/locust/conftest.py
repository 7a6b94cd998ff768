"""A master without processes, and kernels that stamp replies or do not."""

from pathlib import Path

import pytest

from loadgen import stamps
from tests.locust.master import MasterByHand


@pytest.fixture
def master(tmp_path: Path) -> MasterByHand:
    """A master without a run."""
    return MasterByHand(tmp_path)


@pytest.fixture(params=["stamps", "no stamps"])
def kernel(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A kernel that stamps replies, and one that does not, such as macOS's."""
    if request.param == "no stamps":
        monkeypatch.setattr(stamps, "stamp", lambda _: False)
    return str(request.param)
