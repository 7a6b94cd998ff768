"""A master without processes, for whoever tests what it does."""

from pathlib import Path

import pytest

from tests.locust.master import Master


@pytest.fixture
def master(tmp_path: Path) -> Master:
    """A master without a run."""
    return Master(tmp_path)
