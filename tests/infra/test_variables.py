"""What the containers and the functions are told is exactly what their code reads."""

import ast
import json
import re
from pathlib import Path

import pytest

from infra.archive import function_files
from infra.settings import ROOT, as_config, from_files
from infra.variables import REPLY_MARGIN_S
from tests.infra.program import declare, run

# Set by AWS in every environment of a function and by ECS in every container, and so not ours to declare.
SET_BY_AWS = {"AWS_REGION", "AWS_DEFAULT_REGION", "AWS_LAMBDA_FUNCTION_NAME", "ECS_CONTAINER_METADATA_URI_V4"}
# Read where it happens to be set, on a user's machine; what it does is OpenSSL's.
OF_THE_MACHINE = {"SSL_CERT_FILE", "SSL_CERT_DIR"}


def named_variables(folder: str, prefix: str) -> set[str]:
    """Every text in a folder's code that is the name of a variable with this prefix."""
    return {
        node.value
        for file in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and re.fullmatch(prefix + "[A-Z_]+", node.value)
    }


def variables_read(folder: str) -> set[str]:
    """Every name that a folder's code asks the process's environment for literally."""
    read: set[str] = set()
    for file in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(value=ast.Attribute(attr="environ"), attr="get"), args=[name, *_]):
                    pass
                case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="getenv"), args=[name, *_]):
                    pass
                case ast.Subscript(value=ast.Attribute(attr="environ"), slice=name):
                    pass
                case _:
                    continue
            if isinstance(name, ast.Constant):
                read.add(str(name.value))
    return read


@pytest.mark.parametrize("part", ["session", "audit"])
def test_functions(part: str) -> None:
    """A variable that is declared and unread, or read and undeclared, is a mistake in one of the two rooms."""
    declared = set(declare().one("lambda.Function", part).inputs["environment"]["variables"])
    assert declared == named_variables("function", "CACHE_")
    assert variables_read("function") <= declared | SET_BY_AWS | OF_THE_MACHINE


@pytest.mark.parametrize("part", ["master", "worker"])
def test_containers(part: str) -> None:
    """The same for the load image, master and workers alike."""
    container = json.loads(declare().one("ecs.TaskDefinition", part).inputs["containerDefinitions"])[0]
    names = [variable["name"] for variable in container["environment"]]
    assert names == sorted(set(names))
    rooms = ("locust", "contract", "recorder")
    assert set(names) == {name for room in rooms for name in named_variables(room, "LOAD_")}
    assert {name for room in rooms for name in variables_read(room)} <= set(names) | SET_BY_AWS | OF_THE_MACHINE


def test_settings_reach_the_environment() -> None:
    """Every setting that the code behind a variable obeys changes that variable, and in the words the code reads."""
    program = declare(
        transitEncryption=True, functionConnection="reused", cacheUsername="app", cachePassword="correct-horse-battery",
        functionTimeout=7, loadProfile="short", loadScale="0.5", loadCompress="16", loadConnection="keep-alive",
        loadWarm="40", loadTasks=5, loadAutostart=True,
    )  # fmt: skip
    variables = program.one("lambda.Function", "session").inputs["environment"]["variables"]
    assert variables == {
        "CACHE_HOST": program.exports["cacheConfigurationEndpoint"],
        "CACHE_PORT": "6379",
        "CACHE_TLS": "true",
        "CACHE_CONNECTION": "reused",
        "CACHE_USERNAME": "app",
        "CACHE_PASSWORD": "correct-horse-battery",
    }
    assert "environment" in program.one("lambda.Function", "session").secrets, "encrypted in the state"
    container = json.loads(program.one("ecs.TaskDefinition", "master").inputs["containerDefinitions"])[0]
    assert {variable["name"]: variable["value"] for variable in container["environment"]} == {
        "LOAD_PROFILE": "short",
        "LOAD_SCALE": "0.5",
        "LOAD_COMPRESS": "16",
        "LOAD_CONNECTION": "keep-alive",
        "LOAD_WARM": "40",
        "LOAD_TIME_LIMIT_S": str(7 + REPLY_MARGIN_S),
        "LOAD_MAX_IN_FLIGHT": "8192",
        "LOAD_RUN_DIR": "",
        "LOAD_STACK": "dev",
        "LOAD_WORKERS": "5",
        "LOAD_AUTOSTART": "true",
        "LOAD_RESULTS_BUCKET": program.exports["resultsBucket"],
        "LOAD_CACHE_ID": program.exports["cacheReplicationGroupId"],
    }
    assert program.one("ecs.Service", "worker").inputs["desiredCount"] == 5
    assert program.one("lambda.Function", "session").inputs["timeout"] == 7


def test_without_a_user_both_variables_are_empty() -> None:
    """The function reads both in any case; empty means that it does not log in."""
    variables = declare().one("lambda.Function", "session").inputs["environment"]["variables"]
    assert variables["CACHE_USERNAME"] == variables["CACHE_PASSWORD"] == ""


def test_the_handlers_are_in_the_archive() -> None:
    """Each declared handler names a function that a module in the archive defines at its top level."""
    files = function_files()
    for part in ("session", "audit"):
        inputs = declare().one("lambda.Function", part).inputs
        assert set(inputs["code"].assets) == set(files)
        module, _, function = inputs["handler"].rpartition(".")
        source = files[module.replace(".", "/") + ".py"].read_text(encoding="utf-8")
        defined = {node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}
        assert function in defined, inputs["handler"]


def test_the_archive_holds_sources_only() -> None:
    """No bytecode and nothing of another package: the same hash in every checkout, and a short cold start."""
    files = function_files()
    assert "redis/connection.py" in files
    assert {name.split("/")[0].split("-")[0] for name in files} == {"function", "redis"}
    assert {Path(name).suffix for name in files} <= {".py", ""}
    assert any(name.endswith("LICENSE") for name in files)


def test_the_stack_file_is_allowed() -> None:
    """The stack file that is in the repository deploys as it is."""
    run(as_config(from_files(ROOT, "dev")))
