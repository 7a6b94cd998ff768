"""Dependencies point one way: each room imports only the rooms that docs/architecture.md allows it."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

from contract import runfolder

ROOT = Path(__file__).resolve().parent.parent
FILES = (".csv", ".jsonl", ".hlog", ".bin", ".json")
ROOMS = {
    "infra", "function", "contract", "recorder", "loadgen", "rehearsal", "experiment", "report", "benchmarks", "tools",
    "tests",
}  # fmt: skip
ALLOWED: dict[str, set[str]] = {
    "__main__.py": {"infra"},
    "infra": set(),
    "function": set(),
    "contract": set(),
    "recorder": {"contract"},
    "locust": {"contract", "recorder", "loadgen"},  # loadgen/ lies inside; Locust puts locust/ on the path
    "report": {"contract"},
    "experiment": {"infra", "contract", "recorder", "report"},
    "rehearsal": {"infra", "function", "contract", "experiment", "report"},
    "benchmarks": ROOMS - {"tests"},
}
LIBRARIES: dict[str, set[str]] = {
    # What must not be imported where: the image and the function stay small, the arithmetic stays pure.
    "function": {"pulumi", "pulumi_aws", "boto3", "locust", "yaml", "numpy", "hdrh"},
    "contract": {"pulumi", "pulumi_aws", "boto3", "locust", "redis", "plotly"},
    "recorder": {"pulumi", "pulumi_aws", "locust", "redis", "numpy", "plotly"},
    "locust": {"pulumi", "pulumi_aws", "boto3", "redis", "numpy", "plotly"},
    "infra": {"boto3", "redis", "locust", "numpy"},
    "report": {"pulumi", "pulumi_aws", "boto3", "redis", "locust"},
}


def imports(room: str) -> dict[Path, set[str]]:
    """The first words of what each file of a room imports."""
    top = ROOT / room
    files = [top] if top.is_file() else sorted(top.rglob("*.py"))
    imported: dict[Path, set[str]] = {}
    for file in files:
        names: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
        imported[file.relative_to(ROOT)] = names
    return imported


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_imports_only_what_it_may(room: str) -> None:
    """An import that points the wrong way is named with its file."""
    wrong = {
        str(file): sorted((names & ROOMS) - ALLOWED[room] - {room})
        for file, names in imports(room).items()
        if (names & ROOMS) - ALLOWED[room] - {room}
    }
    assert wrong == {}


@pytest.mark.parametrize("room", sorted(LIBRARIES))
def test_a_room_keeps_out_the_libraries_of_others(room: str) -> None:
    """The load image, the function's archive and the pure arithmetic bring no library that they do not need.

    contract's readers, which only the report uses, may have numpy.
    """
    unwanted = {str(file): sorted(names & LIBRARIES[room]) for file, names in imports(room).items()}
    assert {file: names for file, names in unwanted.items() if names} == {}


# What ties the generator to Locust; the rest of loadgen/ knows nothing of it.
TIED_TO_LOCUST = {"runner.py", "stats.py", "web.py"}


def test_the_engine_does_not_know_locust() -> None:
    """The sender, the schedule's division and the books work, and are tested, without Locust."""
    tied = {file.name for file, names in imports("locust/loadgen").items() if names & {"locust", "gevent", "flask"}}
    assert tied == TIED_TO_LOCUST


def test_the_load_image_has_no_numpy() -> None:
    """The image lacks numpy: only files that the locustfile never imports may use it."""
    using = {f"contract.{file.stem}" for file, names in imports("contract").items() if "numpy" in names}
    reached = {
        module
        for room in ("locust", "recorder")
        for file in (ROOT / room).rglob("*.py")
        for module in modules_of_contract(file)
    }
    waiting = list(reached)
    while waiting:
        further = modules_of_contract(ROOT / (waiting.pop().replace(".", "/") + ".py")) - reached
        reached |= further
        waiting += further
    assert "contract.runfolder" in reached
    assert using
    assert not (reached & using)


def modules_of_contract(file: Path) -> set[str]:
    """The modules of contract/ that a file imports."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "contract":
            modules |= {f"contract.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("contract."):
            modules.add(node.module)
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names if alias.name.startswith("contract.")}
    return modules


def test_locust_is_no_package() -> None:
    """With an __init__.py the folder would hide the library of the same name."""
    assert not (ROOT / "locust" / "__init__.py").exists()


def test_the_driver_knows_no_place() -> None:
    """What is written once must not lean on one of the places: experiment/ imports experiment.aws only in its command.

    rehearsal/ may use the driver, never the place AWS.
    """
    driver = [path for path in (ROOT / "experiment").glob("*.py") if path.name != "__main__.py"]
    for file in [*driver, *(ROOT / "rehearsal").glob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(module.startswith("experiment.aws") for module in modules), file


# The large files have one reader and one writer. The others are read by contract's functions too, but other rooms
# append to them, and so name them. tools/ makes and cuts run folders for the tests.
TABLES = {"SECONDS", "LATENCY", "ARRIVALS", "SECONDS_COLUMNS", "ARRIVALS_COLUMNS"}
NAMED_FOR = {
    ("experiment/aws/bucket.py", "SECONDS"),  # which of the bucket's segments to hand to contract.growing
    ("benchmarks/report_speed.py", "LATENCY"),  # which file to hand to contract.runtables
}


def test_only_contract_reads_and_writes_the_run_folders_files() -> None:
    """Whoever parses a file of the run folder must name it: its name stands in contract/ alone, as a constant."""
    names = {value for name, value in vars(runfolder).items() if name.isupper() and str(value).endswith(FILES)}
    assert len(names) == 12
    wrong: set[tuple[str, str]] = set()
    rooms = sorted(ROOMS - {"contract", "loadgen", "tests", "tools"} | {"locust"})
    for file in (file for room in rooms for file in sorted((ROOT / room).rglob("*.py"))):
        for node in ast.walk(ast.parse(file.read_text())):
            path = file.relative_to(ROOT).as_posix()
            if isinstance(node, ast.Constant) and node.value in names:
                wrong.add((path, str(node.value)))
            elif isinstance(node, ast.Attribute) and node.attr in TABLES:
                wrong.add((path, node.attr))
            elif isinstance(node, ast.ImportFrom) and node.module == "contract.runfolder":
                wrong |= {(path, alias.name) for alias in node.names if alias.name in TABLES}
    assert wrong == NAMED_FOR


def test_no_two_classes_share_a_name() -> None:
    """A class's name says which one is meant in every room, so that nobody has to look at the imports first."""
    places: dict[str, list[str]] = defaultdict(list)
    for room in ROOMS - {"tests", "loadgen"} | {"locust"}:
        for file in sorted((ROOT / room).rglob("*.py")):
            for node in ast.parse(file.read_text()).body:
                if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                    places[node.name].append(str(file.relative_to(ROOT)))
    assert len(places) > 100
    assert {name: files for name, files in places.items() if len(files) > 1} == {}
