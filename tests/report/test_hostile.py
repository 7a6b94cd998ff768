"""Run folders made to harm: each is read in bounded time and memory, and the report says what is wrong with it."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contract import runfolder
from contract.files import UnusableFileError, open_regular, replace
from contract.runfolder import RunFolderError
from contract.runread import read_run
from report import build
from report.document import document
from report.escapes import json_file
from report.findings import examine
from report.summary import markdown
from report.verdict import sentences
from tests.report.test_command import run_report
from tools import hostile

ROOT = Path(__file__).resolve().parents[2]
SMALL = 300_000
# What is harmless: it makes the run no less readable, and is no more than an honest one may hold when it is small.
READ_WHOLE = {
    "function.jsonl: blank lines", "function.jsonl: environments", "latency.hlog: blank lines", "run.json: gates",
    "run.json: names of workers", "run.json: halves of characters",
    "server.jsonl: wide lines", "events.jsonl: many", "events.jsonl: long texts", "events.jsonl: nested widely",
    "run.json: 50 MB", "run.json: 4 MB of empty lists", "audit.json: counts of 1e308", "seconds.csv: 30 days",
    "everything at once",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small whole run, to be copied and spoiled."""
    return hostile.plain(tmp_path_factory.mktemp("whole") / "run")


@pytest.mark.parametrize("name", hostile.FOLDERS)
def test_a_hostile_folder_is_read_and_named(whole: Path, tmp_path: Path, name: str) -> None:
    """Each attack, made small, leaves a report that can be written, and what was left out is told with its file."""
    if name == "server.jsonl cannot be read" and os.geteuid() == 0:
        pytest.skip("root may read every file")
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    hostile.FOLDERS[name](run, SMALL)
    began = time.process_time()
    read = read_run(run)
    report = document(examine(read))
    report |= {"exit_code": 2, "verdict": sentences(report)}
    assert json.loads(json_file(report))["id"] is not None
    assert markdown(report)
    assert time.process_time() - began < 10
    file = name.split(" ", maxsplit=1)[0].rstrip(":")
    told = [sentence for sentence in read.damage if file in sentence]
    assert bool(told) == (name not in READ_WHOLE), read.damage


def test_the_worst_small_folder_gets_its_whole_report(whole: Path, tmp_path: Path) -> None:
    """Pictures and page are made of what was read, too."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    for name in ("everything at once", "run.json: numbers that are none", "latency.hlog: counts of 2^60"):
        hostile.FOLDERS[name](run, SMALL)
    result = build(run)
    assert result.exit_code == 2
    assert "run.json: duration_s, time_limit_s" in " ".join(result.verdict.split())
    assert result.html.stat().st_size < 10_000_000


@pytest.mark.parametrize("name", ["report.html", "report.json", "report.md", "timeline.svg", "timeline.png"])
def test_a_report_is_not_written_through_a_link(whole: Path, tmp_path: Path, name: str) -> None:
    """A link in the place of an output is replaced by the output, and what it leads to stays as it was."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(whole, run)
    elsewhere.write_text("kept")
    (run / name).symlink_to(elsewhere)
    build(run, [])
    assert elsewhere.read_text() == "kept"
    assert not (run / name).is_symlink()
    assert (run / name).stat().st_size > 500
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_a_folder_in_the_place_of_an_output_is_told(whole: Path, tmp_path: Path) -> None:
    """The report cannot be written: one line, exit code 2, and nothing is left beside it."""
    run = tmp_path / "run"
    shutil.copytree(whole, run)
    (run / "report.md").mkdir()
    done = run_report(run)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "report.md" in done.stderr
    assert not [path for path in run.iterdir() if path.name.startswith(".")]


def test_the_run_folder_itself_may_be_a_link(whole: Path, tmp_path: Path) -> None:
    """Whoever names a link to a run folder means the run folder."""
    (tmp_path / "latest").symlink_to(whole)
    assert read_run(tmp_path / "latest").damage == ()


def test_only_a_regular_file_is_opened(tmp_path: Path) -> None:
    """A pipe does not block, a link is not followed, and a file that is too long is not read."""
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(file)
    for name, said in (
        ("pipe", "is a pipe"), ("link", "is a link"), (".", "is a folder"), ("file", "has 5 bytes; at most 4"),
    ):  # fmt: skip
        with pytest.raises(UnusableFileError, match=said):
            open_regular(tmp_path / name, 4)
    with pytest.raises(FileNotFoundError):
        open_regular(tmp_path / "nowhere", 4)
    with open_regular(file, 5) as stream:
        assert stream.read() == b"12345"
    replace(file, b"new")
    assert file.read_bytes() == b"new"


def test_what_is_added_to_a_run_folder_follows_no_link(whole: Path, tmp_path: Path) -> None:
    """Events and keys of run.json that the driver adds are not written through a link, nor into a pipe."""
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    shutil.copytree(whole, run)
    elsewhere.write_text((run / "run.json").read_text())
    before = elsewhere.read_text()
    (run / "events.jsonl").unlink()
    (run / "events.jsonl").symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"symbolic link|Too many levels"):
        runfolder.append_event(run, 1.0, "x")
    (run / "run.json").unlink()
    (run / "run.json").symlink_to(elsewhere)
    with pytest.raises(RunFolderError, match="is a link"):
        runfolder.update_run(run, {"x": 1})
    assert elsewhere.read_text() == before


COMMANDS = ["report", "rehearsal", "experiment", "benchmarks", "benchmarks.hostile", "benchmarks.report_speed"]


@pytest.mark.parametrize("command", [*COMMANDS, "benchmarks.function_client", "benchmarks.function_reshard"])
def test_every_command_says_usage_in_one_line(command: str) -> None:
    """An option that is none is one line and exit code 64, of whichever command."""
    done = subprocess.run(
        [sys.executable, "-m", command, "--no-such-option"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (64, 1, "")


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        ("KeyboardInterrupt()", 2, "python -m x: interrupted\n"),
        ("RuntimeError('\\x1b[31m\\n::error::')", 70, r"a defect of this program: 'RuntimeError: \\x1b\[31m\\n::er"),
        ("RecursionError('deep')", 70, "a defect of this program: 'RecursionError: deep'; the trace is in /"),
        ("SystemExit('no such tool')", 2, "python -m x: no such tool\n"),
        ("SystemExit(64)", 64, "^$"),
    ],
)
def test_an_ending_that_nobody_foresaw_is_one_line(tmp_path: Path, error: str, code: int, said: str) -> None:
    """Ctrl-C exits 2, a defect 70 with its trace in a new file; neither prints a trace."""
    program = f"from contract.exits import end\ndef main(): raise {error}\nend('python -m x', main)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == code
    assert re.search(said, done.stderr)
    assert done.stderr.count("\n") <= 1
    traces = [path.read_text() for path in tmp_path.iterdir()]
    assert [("Traceback" in trace) for trace in traces] == [True] * (code == 70)


# Python imports `sitecustomize` first: this one is the user who presses Ctrl-C while the module $INTERRUPTED is loaded.
_INTERRUPTS = """
import os, signal, sys

signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests in the background ignores it

class Finder:
    def find_spec(name, path=None, target=None):
        if name == os.environ["INTERRUPTED"]:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder)
"""


@pytest.mark.parametrize(
    ("command", "module"),
    [
        ("report", "contract.runfolder"),
        ("report", "report.assemble"),
        ("rehearsal", "experiment.driver"),
        ("rehearsal", "rehearsal.options"),
        ("experiment", "contract.profiles"),
        ("experiment", "pulumi"),
    ],
)
def test_ctrl_c_while_libraries_are_loaded_is_one_line(command: str, module: str, tmp_path: Path) -> None:
    """In the first second of a command Ctrl-C is one line and exit code 2."""
    (tmp_path / "sitecustomize.py").write_text(_INTERRUPTS)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "INTERRUPTED": module}
    done = subprocess.run(
        [sys.executable, "-m", command], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (2, f"python -m {command}: interrupted\n")


@pytest.mark.parametrize(("written", "code"), [(1, 1), (10_000_000, 2)])
def test_output_that_nobody_reads_is_no_success(written: int, code: int) -> None:
    """With `| head` a command ends as it would, or with 2 if it was cut short, and without a trace."""
    program = f"import sys\nfrom contract.exits import end\nend('x', lambda: sys.stdout.write('x' * {written}) and 1)"
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, check=False,
        env={**os.environ, "PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    os.close(write)
    assert (done.returncode, done.stderr) == (code, b"")


def test_ctrl_c_at_the_end_changes_nothing() -> None:
    """What a command ends with stays its end while Python takes itself down."""
    program = (
        "import atexit, os, signal\nfrom contract.exits import end\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)\nend('python -m x', lambda: 1)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
