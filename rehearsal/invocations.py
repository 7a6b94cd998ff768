"""Invocations, and environments that each take one at a time, as in Lambda.

When every environment is busy, another one is started, up to a limit; the invocation waits meanwhile, and the wait is
measured. An invocation that exceeds the time limit ends its environment.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from rehearsal.environment import LENGTH, PID

# In place of Lambda's answer to an invocation without a result.
TIMED_OUT: dict[str, Any] = {"error": {"errorType": "Sandbox.Timedout", "errorMessage": "the time limit was reached"}}
CRASHED: dict[str, Any] = {"error": {"errorType": "Runtime.ExitError", "errorMessage": "the environment ended"}}

# Environments ordered at a time: on a busy machine one by one took 5 s for 200, for each order waited to be scheduled.
_ORDERS = 32

OnAnswer = Callable[[dict[str, Any]], None]


class InitError(Exception):
    """The declared handler cannot be loaded from the declared archive; the message has Python's error."""


@dataclass(frozen=True)
class FunctionSpec:
    """A declared function, extracted and ready to run."""

    name: str
    root: str
    handler: str
    memory_mb: int
    timeout_s: float
    environment: Mapping[str, str]
    limit: int
    output: str


@dataclass
class EnvironmentCounts:
    """What happened to a function's environments since the last look."""

    busy_max: int = 0
    waited: int = 0
    wait_ms_max: float = 0.0
    timed_out: int = 0
    malformed: int = 0
    limit_reached: int = 0


@dataclass
class _Invocation:
    event: Any
    answer: OnAnswer
    arrived_s: float
    answered: bool = field(default=False)


class HostedFunction:
    """One declared function and its environments."""

    def __init__(self, spec: FunctionSpec) -> None:
        self.spec = spec
        self.second = EnvironmentCounts()
        self.limit_was_reached = False
        self._loop = asyncio.get_running_loop()
        self._idle: list[_Environment] = []
        self._environments: set[_Environment] = set()
        self._starting = 0
        self._waiting: deque[_Invocation] = deque()
        self._control: socket.socket
        self._process: asyncio.subprocess.Process
        self._orders = asyncio.Semaphore(_ORDERS)
        self._start_lock = asyncio.Lock()

    @property
    def environments(self) -> int:
        """Environments that exist or are being started."""
        return len(self._environments) + self._starting

    @property
    def busy(self) -> int:
        """Environments that have an invocation, or are being started and one waits for them."""
        return len(self._environments) - len(self._idle) + min(self._starting, len(self._waiting))

    async def start(self) -> None:
        """Load the handler; raises InitError if that fails."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        script = str(Path(__file__).with_name("environment.py"))
        spec = self.spec
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", "-B", script,
            spec.root, spec.handler, str(spec.memory_mb), spec.output, str(theirs.fileno()),
            env=dict(spec.environment), pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        ours.setblocking(False)
        self._control = ours
        status = b""
        while not status.endswith(b"\n"):
            chunk = await self._loop.sock_recv(ours, 65536)
            if not chunk:
                raise InitError(f"function {spec.name}: its process ended before the handler was loaded")
            status += chunk
        problem = json.loads(status).get("error")
        if problem:
            raise InitError(
                f"function {spec.name}: handler {spec.handler!r} cannot be loaded from the declared archive: {problem}"
            )

    def invoke(self, event: Any, answer: OnAnswer) -> None:
        """Run one invocation; `answer` is called once, with `{"result": ...}` or `{"error": ...}`."""
        invocation = _Invocation(event, answer, self._loop.time())
        if self._idle:
            self._run(self._idle.pop(), invocation)
            return
        self._waiting.append(invocation)
        self.second.waited += 1
        self._count_busy()
        if len(self._waiting) <= self._starting:
            return  # one is on its way whose own invocation was served by another
        if self.environments < self.spec.limit:
            self._start_another()
        else:
            self.second.limit_reached += 1
            self.limit_was_reached = True

    def forget_limit(self) -> None:
        """Begin anew to watch whether an invocation waits because of the limit."""
        self.limit_was_reached = False

    def look(self) -> EnvironmentCounts:
        """What happened since the last call."""
        counts, self.second = self.second, EnvironmentCounts(busy_max=self.busy)
        if self._waiting:
            oldest_ms = (self._loop.time() - self._waiting[0].arrived_s) * 1000
            self.second.wait_ms_max = oldest_ms
            counts.wait_ms_max = max(counts.wait_ms_max, oldest_ms)
        return counts

    def stop(self) -> None:
        """End every environment."""
        for environment in self._environments:
            environment.kill()
        self._control.close()
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def _start_another(self) -> None:
        self._starting += 1
        self._count_busy()
        task = self._loop.create_task(self._add())
        task.add_done_callback(lambda done: done.exception())

    def _count_busy(self) -> None:
        self.second.busy_max = max(self.second.busy_max, self.busy)

    async def _add(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            async with self._orders:
                socket.send_fds(self._control, [b"F"], [theirs.fileno()])
                theirs.close()
                async with self._start_lock:  # process ids arrive in the order of the requests
                    pid = await self._started_pid()
            ours.setblocking(False)
            environment = _Environment(self, pid)
            await self._loop.create_connection(lambda: environment, sock=ours)
        finally:
            self._starting -= 1
        self._environments.add(environment)
        self._free(environment)

    async def _started_pid(self) -> int:
        packed_pid = b""
        while len(packed_pid) < PID.size:
            chunk = await self._loop.sock_recv(self._control, PID.size - len(packed_pid))
            if not chunk:
                raise InitError(f"function {self.spec.name}: the process that starts environments ended")
            packed_pid += chunk
        return int(PID.unpack(packed_pid)[0])

    def _free(self, environment: "_Environment") -> None:
        if self._waiting:
            invocation = self._waiting.popleft()
            wait_ms = (self._loop.time() - invocation.arrived_s) * 1000
            self.second.wait_ms_max = max(self.second.wait_ms_max, wait_ms)
            self._run(environment, invocation)
        else:
            self._idle.append(environment)

    def _run(self, environment: "_Environment", invocation: _Invocation) -> None:
        self._count_busy()
        environment.run(invocation, self.spec.timeout_s)

    def done(self, environment: "_Environment") -> None:
        """An environment has answered and is free again."""
        self._free(environment)

    def gone(self, environment: "_Environment") -> None:
        """An environment has ended; starts another one if an invocation waits."""
        self._environments.discard(environment)
        if environment in self._idle:
            self._idle.remove(environment)
        if len(self._waiting) > self._starting and self.environments < self.spec.limit:
            self._start_another()


class _Environment(asyncio.Protocol):
    """The hosting side of one environment process."""

    def __init__(self, function: HostedFunction, pid: int) -> None:
        self._function = function
        self._pid = pid
        self._buffer = bytearray()
        self._invocation: _Invocation | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.WriteTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio's
        self._transport = cast("asyncio.WriteTransport", transport)

    def run(self, invocation: _Invocation, timeout_s: float) -> None:
        self._invocation = invocation
        request = {"event": invocation.event, "id": str(uuid.uuid4()), "limit_ms": timeout_s * 1000}
        payload = json.dumps(request).encode()
        self._transport.write(LENGTH.pack(len(payload)) + payload)
        self._timer = asyncio.get_running_loop().call_later(timeout_s, self._time_out)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) < LENGTH.size:
            return
        end = LENGTH.size + LENGTH.unpack_from(self._buffer)[0]
        if len(self._buffer) < end:
            return
        answer = json.loads(self._buffer[LENGTH.size : end])
        del self._buffer[:end]
        self._finish(answer)
        self._function.done(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._function.gone(self)
        self._finish(CRASHED)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        self._transport.close()

    def _time_out(self) -> None:
        self._function.second.timed_out += 1
        self._finish(TIMED_OUT)
        self.kill()

    def _finish(self, answer: dict[str, Any]) -> None:
        invocation, self._invocation = self._invocation, None
        if self._timer is not None:
            self._timer.cancel()
        if invocation is not None:
            invocation.answer(answer)
