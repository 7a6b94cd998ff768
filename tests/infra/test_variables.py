"""What the containers and the functions are told is exactly what their code reads."""

import importlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from function import cache_settings
from infra.archive import function_files
from infra.settings import ROOT, as_config, from_files
from infra.variables import REPLY_MARGIN_S
from loadgen import options
from recorder import record
from tests.infra.program import declare, run


class Recorded(dict[str, str]):
    """An environment that notes which variables it is asked for."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.asked: set[str] = set()

    def get(self, name: str, default: Any = None) -> Any:
        """As a dictionary does."""
        self.asked.add(name)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return super().__getitem__(name)


@pytest.mark.parametrize("part", ["session", "audit"])
def test_functions(part: str) -> None:
    """A variable that is declared and unread, or read and undeclared, is a mistake in one of the two rooms."""
    declared = declare().one("lambda.Function", part).inputs["environment"]["variables"]
    environ = Recorded({name: str(value) for name, value in declared.items()})
    cache_settings.read(environ)
    assert environ.asked == set(declared)


@pytest.mark.parametrize("part", ["master", "worker"])
def test_containers(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for the load image, master and workers alike: its options and its recorder read all, and no other."""
    container = json.loads(declare().one("ecs.TaskDefinition", part).inputs["containerDefinitions"])[0]
    names = [variable["name"] for variable in container["environment"]]
    assert names == sorted(set(names))
    environ = Recorded({})
    monkeypatch.setattr(os, "environ", environ)
    assert record.from_environment("dev") is None
    parser = Mock()
    options.add(parser)
    of_options = {option.kwargs["env_var"] for option in parser.add_argument.call_args_list}
    assert set(names) == environ.asked | of_options


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
    """Each declared handler names a function of a module that is in the archive."""
    files = function_files()
    for part in ("session", "audit"):
        inputs = declare().one("lambda.Function", part).inputs
        assert set(inputs["code"].assets) == set(files)
        module, _, function = inputs["handler"].rpartition(".")
        assert module.replace(".", "/") + ".py" in files
        assert callable(getattr(importlib.import_module(module), function)), inputs["handler"]


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
