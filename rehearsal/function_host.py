"""The process that hosts the declared functions: balancer port, Invoke API, environments, one line about them a second.

`python -m rehearsal.function_host` reads its configuration as JSON from standard input (`HostConfig`), listens, and
prints one line of JSON: `{}` once it serves, or `{"error": ...}`. It ends when its standard input closes.
"""

import asyncio
import gc
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from rehearsal.balancer import api, balancer
from rehearsal.invocations import FunctionSpec, HostedFunction, InitError

_BACKLOG = 4096


@dataclass(frozen=True)
class HostConfig:
    """What to host, and where."""

    functions: list[FunctionSpec]
    listener_port: int
    listener_function: str
    target_group_arn: str
    api_port: int


class _Control:
    """The rehearsal's requests to the host that are not invocations."""

    def __init__(self, function: HostedFunction) -> None:
        self._function = function
        self.started_at_unix_s: float | None = None

    def answer(self, path: str, payload: Any) -> dict[str, Any]:
        """`/run` passes the run's start; every answer says whether an invocation has waited because of the limit.

        What happened before the start, where environments are warmed, does not count.
        """
        if path == "/run":
            self.started_at_unix_s = float(payload["started_at_unix_s"])
            until_s = max(0.0, self.started_at_unix_s - time.time())
            asyncio.get_running_loop().call_later(until_s, self._function.forget_limit)
        before = self.started_at_unix_s is not None and time.time() < self.started_at_unix_s
        return {"limit_was_reached": self._function.limit_was_reached and not before}


async def host(config: HostConfig) -> None:
    """Serve until standard input closes."""
    loop = asyncio.get_running_loop()
    functions = {spec.name: HostedFunction(spec) for spec in config.functions}
    forwarded = functions[config.listener_function]
    control = _Control(forwarded)
    try:
        for function in functions.values():
            await function.start()
        await loop.create_server(
            balancer(forwarded, config.target_group_arn), "127.0.0.1", config.listener_port, backlog=_BACKLOG
        )
        await loop.create_server(api(functions, control.answer), "127.0.0.1", config.api_port)
    except (InitError, OSError) as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print("{}", flush=True)
    gc.collect()
    gc.freeze()
    closed = loop.run_in_executor(None, sys.stdin.read)
    report = loop.create_task(_report(forwarded, Path(forwarded.spec.output), control))
    await closed
    report.cancel()
    for function in functions.values():
        function.stop()


async def _report(function: HostedFunction, output: Path, control: _Control) -> None:
    """Append a line about the environments every second, once the run has started."""
    at_s = math.floor(time.time())
    while True:
        # Counts seconds instead of sleeping "until the next one": a sleep may end early and repeat a second.
        at_s = max(at_s + 1, math.floor(time.time()))
        await asyncio.sleep(at_s - time.time())
        second = asdict(function.look())
        if control.started_at_unix_s is None:
            continue
        line = {
            "type": "environments",
            "t_s": round(time.time() - control.started_at_unix_s, 3),
            "count": function.environments,
            **second,
            "limit": function.spec.limit,
        }
        with output.open("ab", buffering=0) as stream:
            stream.write(json.dumps(line).encode() + b"\n")


def main() -> None:
    """Read the configuration and serve."""
    config = json.loads(sys.stdin.readline())
    config["functions"] = [FunctionSpec(**spec) for spec in config["functions"]]
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(host(HostConfig(**config)))


if __name__ == "__main__":
    main()
