"""Environments take one invocation at a time, grow to their limit, and end at the time limit."""

import asyncio
import os
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from rehearsal.invocations import FunctionSpec, HostedFunction, InitError

HANDLER = """
import json, os, sys, time
starts = 0
def handler(event, context):
    global starts
    starts += 1
    what = event.get("do")
    if what == "sleep":
        time.sleep(event["s"])
    elif what == "raise":
        raise ValueError("no")
    elif what == "exit":
        os._exit(3)
    elif what == "eat":
        bytearray(300 * 1024 * 1024)
    elif what == "env":
        return dict(os.environ) | {"path": sys.path}
    print(json.dumps({"request": context.aws_request_id}))
    return {"pid": os.getpid(), "starts": starts, "left_ms": context.get_remaining_time_in_millis()}
"""


def spec(folder: Path, **changes: Any) -> FunctionSpec:
    """A function of the module above."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    (root / "made.py").write_text(HANDLER)
    settings: dict[str, Any] = {
        "name": "made",
        "root": str(root),
        "handler": "made.handler",
        "memory_mb": 256,
        "timeout_s": 5.0,
        "environment": {"DECLARED": "yes"},
        "limit": 4,
        "output": str(folder / "out.jsonl"),
    }
    return FunctionSpec(**{**settings, **changes})


def alive(pid: int) -> bool:
    """Whether there is a process of this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def invoke(function: HostedFunction, **event: Any) -> dict[str, Any]:
    """One invocation's answer."""
    answered: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
    function.invoke(event, answered.set_result)
    return await asyncio.wait_for(answered, 20)


def run(folder: Path, scenario: Any, **changes: Any) -> Any:
    """Run `scenario(function)` with a function that is started before and stopped after."""

    async def whole() -> Any:
        function = HostedFunction(spec(folder, **changes))
        try:
            await function.start()
            coroutine: Coroutine[Any, Any, Any] = scenario(function)
            return await coroutine
        finally:
            function.stop()

    return asyncio.run(whole())


def test_busy_environments_are_joined_by_new_ones_up_to_the_limit(tmp_path: Path) -> None:
    """Six invocations at once on a limit of four: four environments, two invocations wait, the waits are measured."""

    async def scenario(function: HostedFunction) -> None:
        answers = await asyncio.gather(*(invoke(function, do="sleep", s=0.3) for _ in range(6)))
        assert len({answer["result"]["pid"] for answer in answers}) == 4
        assert function.environments == 4
        second = function.look()
        assert second.busy_max == 4
        assert second.limit_reached == 2
        assert second.wait_ms_max >= 300

    run(tmp_path, scenario)


def test_an_environment_that_is_being_started_counts_as_busy(tmp_path: Path) -> None:
    """With all of the limit busy or starting the next invocation waits, and both figures must say the same."""

    async def scenario(function: HostedFunction) -> None:
        asked = [asyncio.ensure_future(invoke(function)) for _ in range(5)]
        await asyncio.sleep(0)  # all have asked, and no environment is there yet
        assert (function.environments, function.limit_was_reached) == (4, True)
        second = function.look()
        assert (second.busy_max, second.limit_reached) == (4, 1)
        await asyncio.gather(*asked)
        function.forget_limit()
        assert not function.limit_was_reached

    run(tmp_path, scenario)


def test_an_idle_environment_stays(tmp_path: Path) -> None:
    """Those that a burst leaves behind are there for the next one: nothing is cold again."""

    async def scenario(function: HostedFunction) -> None:
        first = await asyncio.gather(*(invoke(function, do="sleep", s=0.5) for _ in range(4)))
        for _ in range(20):
            await invoke(function)
        again = await asyncio.gather(*(invoke(function, do="sleep", s=0.5) for _ in range(4)))
        assert {answer["result"]["pid"] for answer in again} == {answer["result"]["pid"] for answer in first}
        assert all(answer["result"]["starts"] > 1 for answer in again)

    run(tmp_path, scenario)


def test_an_environment_is_used_again(tmp_path: Path) -> None:
    """One after the other, invocations meet the same process with its module's state: a warm start."""

    async def scenario(function: HostedFunction) -> None:
        first, second = await invoke(function), await invoke(function)
        assert first["result"]["pid"] == second["result"]["pid"]
        assert (first["result"]["starts"], second["result"]["starts"]) == (1, 2)
        assert 4000 < second["result"]["left_ms"] <= 5000

    run(tmp_path, scenario)


def test_the_time_limit_ends_the_environment(tmp_path: Path) -> None:
    """Past the limit the caller gets an error, the process is gone, and the next invocation gets a new one."""

    async def scenario(function: HostedFunction) -> None:
        pid = (await invoke(function))["result"]["pid"]
        started = time.monotonic()
        answer = await invoke(function, do="sleep", s=30)
        assert answer["error"]["errorType"] == "Sandbox.Timedout"
        assert time.monotonic() - started < 5
        assert (await invoke(function))["result"]["pid"] != pid
        assert function.look().timed_out == 1
        for _ in range(500):
            if not alive(pid):
                return
            await asyncio.sleep(0.02)
        pytest.fail(f"process {pid} outlived its time limit by 10 s")

    run(tmp_path, scenario, timeout_s=0.5)


@pytest.mark.parametrize(
    ("what", "error"), [("raise", "ValueError"), ("exit", "Runtime.ExitError"), ("eat", "MemoryError")]
)
def test_what_goes_wrong_inside_is_an_error_answer(tmp_path: Path, what: str, error: str) -> None:
    """An exception, a process that ends, memory past the setting: each is told, and the function serves on."""

    async def scenario(function: HostedFunction) -> None:
        assert (await invoke(function, do=what))["error"]["errorType"] == error
        assert "result" in await invoke(function)

    run(tmp_path, scenario)


def test_an_environment_sees_what_is_declared_and_no_more(tmp_path: Path) -> None:
    """Its variables are the declared ones, its modules the archive's and the standard library's."""

    async def scenario(function: HostedFunction) -> None:
        seen = (await invoke(function, do="env"))["result"]
        assert seen["DECLARED"] == "yes"
        assert "HOME" not in seen
        assert "VIRTUAL_ENV" not in seen
        assert not any("site-packages" in path for path in seen["path"])
        assert seen["path"][0] == str(tmp_path / "root")

    run(tmp_path, scenario)


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ("made.nothing", "module made has no function nothing"),
        ("absent.handler", "No module named 'absent'"),
        ("handler", "not of the form"),
    ],
)
def test_a_handler_that_cannot_be_loaded_is_named(tmp_path: Path, handler: str, said: str) -> None:
    """A wrong declared handler fails at the start, with Python's own words."""

    async def nothing(_function: HostedFunction) -> None: ...

    with pytest.raises(InitError, match=said):
        run(tmp_path, nothing, handler=handler)


def test_log_lines_of_all_environments_are_whole(tmp_path: Path) -> None:
    """Environments append to one file; every line is one line."""

    async def scenario(function: HostedFunction) -> None:
        await asyncio.gather(*(invoke(function, do="sleep", s=0.01) for _ in range(200)))

    run(tmp_path, scenario)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert len(lines) == 200
    assert all(line.startswith('{"request": "') and line.endswith('"}') for line in lines)
