"""A master without processes, for whoever tests what it does."""

from pathlib import Path

import pytest

from tests.locust.master import MasterByHand


@pytest.fixture
def master(tmp_path: Path) -> MasterByHand:
    """A master without a run."""
    return MasterByHand(tmp_path)
