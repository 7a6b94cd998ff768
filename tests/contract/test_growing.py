"""Single files of a run folder, read while they grow: what is whole comes back, what is not is left out."""

from pathlib import Path

import pytest

from contract import growing
from contract.runfolder import RunFolder, Second

SECONDS = [
    Second(0, 0, ok=3, late=1, cold=2, said_cold=1, redirects=4),
    Second(1, 1, ok=1, failed=2, missed=1, unknown=1, causes={"http_503": 2, "no_ports": 1}),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A run folder of two seconds, as the writer leaves it while the run goes."""
    writer = RunFolder.create(tmp_path / "run", {"started_at_unix_s": 1_795_360_000.0})
    for second in SECONDS:
        writer.append_second(second)
    writer.append_sessions(bytes(range(48)))
    writer.flush()
    return tmp_path / "run"


def test_the_rows_of_the_ledger_come_back(folder: Path) -> None:
    """Every count that the writer put into a row is read from it, cold starts that nobody told included."""
    whole = (folder / "seconds.csv").read_bytes()
    assert growing.last_second(whole) == SECONDS[1]
    assert growing.last_second(whole[: whole.index(b"\n1,") + 1]) == SECONDS[0]


@pytest.mark.parametrize(
    "piece",
    [
        b"",
        b"t_s,phase,offered,sent,ok,failed,missed,unknown,late,redirects,retries,cold,causes\n",
        b"0,0,3,3,3,0,0,0,0,0,0,0,",
        b"0,0,3\n",
        b"0,0,3,3,three,0,0,0,0,0,0,0,\n",
        b"0,0,3,3,3,0,0,0,0,0,0,0,refused\n",
        b"\xff\n",
    ],
)
def test_what_is_no_whole_row_is_left_out(piece: bytes) -> None:
    """How far a run is must not be told from half a row, nor from the header."""
    assert growing.last_second(piece) is None


def test_a_session_that_is_cut_off_is_left_out(folder: Path) -> None:
    """Another process may be writing while the file is read."""
    with (folder / "sessions.bin").open("ab") as stream:
        stream.write(b"half")
    assert list(growing.read_sessions(folder, 2)) == [[bytes(range(16)), bytes(range(16, 32))], [bytes(range(32, 48))]]
    assert growing.acknowledged(folder) == 3


def test_a_folder_without_the_file_has_nothing_in_it(tmp_path: Path) -> None:
    """A run that has only just begun has not written everything yet."""
    assert list(growing.read_sessions(tmp_path, 10)) == []
    assert growing.acknowledged(tmp_path) == 0
