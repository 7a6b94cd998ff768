"""Dependencies point one way: each room imports only the rooms that docs/architecture.md allows it."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ROOMS = {"infra", "function", "loadgen", "rehearsal", "experiment", "report", "benchmarks"}
ALLOWED: dict[str, set[str]] = {
    "__main__.py": {"infra"},
    "infra": set(),
    "function": set(),
    "loadgen": set(),
    "locust": {"loadgen"},
    "report": {"loadgen"},
    "rehearsal": {"infra", "function", "loadgen", "report"},
    "experiment": {"infra", "loadgen", "report"},
}
LIBRARIES: dict[str, set[str]] = {
    # What must not be imported where: the image and the function stay small, the arithmetic stays pure.
    "function": {"pulumi", "pulumi_aws", "boto3", "locust", "yaml", "numpy", "hdrh"},
    "loadgen": {"pulumi", "pulumi_aws", "boto3", "locust", "redis", "plotly"},
    "locust": {"pulumi", "pulumi_aws", "redis", "numpy", "plotly"},
    "infra": {"boto3", "redis", "locust", "numpy"},
    "report": {"pulumi", "pulumi_aws", "boto3", "redis", "locust"},
}


def imports(room: str) -> dict[Path, set[str]]:
    """The first words of what each file of a room imports."""
    top = ROOT / room
    files = [top] if top.is_file() else sorted(top.rglob("*.py"))
    found: dict[Path, set[str]] = {}
    for file in files:
        names: set[str] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.split(".")[0])
        found[file.relative_to(ROOT)] = names
    return found


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

    loadgen's readers, which only the report uses, may have numpy.
    """
    found = {str(file): sorted(names & LIBRARIES[room]) for file, names in imports(room).items()}
    assert {file: names for file, names in found.items() if names} == {}


def test_the_load_image_has_no_numpy() -> None:
    """The image lacks numpy: only files that the locustfile never imports may use it."""
    using = {file.name for file, names in imports("loadgen").items() if "numpy" in names}
    reached: set[str] = set()
    waiting = list((ROOT / "locust").glob("*.py"))
    while waiting:
        text = waiting.pop().read_text()
        for node in ast.walk(ast.parse(text)):
            modules: list[str] = []
            if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "loadgen":
                modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            elif isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names if alias.name.startswith("loadgen.")]
            for module in modules:
                file = ROOT / (module.replace(".", "/") + ".py")
                if file.is_file() and file.name not in reached:
                    reached.add(file.name)
                    waiting.append(file)
    assert reached
    assert not (reached & using)


def test_locust_is_no_package() -> None:
    """With an __init__.py the folder would hide the library of the same name."""
    assert not (ROOT / "locust" / "__init__.py").exists()
