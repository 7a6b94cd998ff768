"""The checks of a run, each by itself."""

from pathlib import Path

import pytest

from contract.runread import read_run
from report.checks import comparison
from report.checks.check import PASS
from report.moves import find_moves
from report.windows import windows_of
from tools import synthetic
from tools.synthetic import Synthetic

SHORT = Synthetic(
    phases=(("Warm up", 40, 20, 80), ("Higher load", 10, 50, 150), ("Cool down", 40, 20, 80)),
    moves=(synthetic.Planted("sham", 12, 6, 40), synthetic.Planted("real", 62, 6, 140)),
)


@pytest.mark.parametrize("seed", range(40))
def test_poisson_arrivals_have_their_pairs(tmp_path: Path, seed: int) -> None:
    """Drawn arrivals repeat in the control phase, so that their number never makes a run INVALID."""
    spec = Synthetic(SHORT.phases, SHORT.moves, poisson_seed=seed)
    run = read_run(synthetic.write(tmp_path / "20261122T151100Z-dev", spec))
    windows = windows_of(run, find_moves(run))
    assert windows is not None
    (pairs,) = comparison.pairs(run, windows)
    assert (pairs.name, pairs.state, pairs.value) == ("Pairs comparable", PASS, "rates differ by 0.00% at most")
