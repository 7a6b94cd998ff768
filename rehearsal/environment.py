"""Lambda's execution environments, as processes: each loads the declared handler and takes one invocation at a time.

Run as a script with nothing but the standard library and the function's extracted archive on its path
(`python -I -S environment.py ...`), so a package missing from the archive is missing here too. This process imports the
handler's module once, and each environment is a fork of it: a fork costs milliseconds, a new interpreter a tenth of a
second of the CPU that the cluster needs.

Arguments: task root, handler ("package.module.function"), memory in MB, file for what the function prints, file
descriptor of the control socket. On the control socket: one line of JSON once initialised (`{}` or `{"error": ...}`);
then for each byte "F" that arrives with a file descriptor, a fork that serves that descriptor, answered with its
process id in 8 bytes. An environment reads length-prefixed JSON (`{"event", "id", "limit_ms"}`) and answers with
`{"result": ...}` or `{"error": {"errorType", "errorMessage"}}`.
"""

import contextlib
import importlib
import json
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from typing import Any

LENGTH = struct.Struct("!I")
PID = struct.Struct("!Q")


class Context:
    """The context that a handler gets beside the event: what the rehearsal can fill of Lambda's."""

    def __init__(self, request_id: str, limit_ms: float) -> None:
        self.aws_request_id = request_id
        self.function_name = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        self.function_version = "$LATEST"
        self.invoked_function_arn = f"arn:aws:lambda:rehearsal:000000000000:function:{self.function_name}"
        self.memory_limit_in_mb = os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "")
        self.log_group_name = os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", "")
        self.log_stream_name = str(os.getpid())
        self._end = time.monotonic() + limit_ms / 1000

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until the time limit, from this process's start of the invocation."""
        return max(0, int((self._end - time.monotonic()) * 1000))


def main() -> None:
    """Initialise the handler, then fork an environment for each descriptor that arrives."""
    root, handler_name, memory_mb, output, control_fd = sys.argv[1:]
    control = socket.socket(fileno=int(control_fd))
    sys.path[:] = [root, *(path for path in sys.path if path != os.path.dirname(os.path.abspath(__file__)))]  # noqa: PTH100, PTH120 - pathlib would be imported for this alone
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        handler = _load(handler_name)
    except BaseException as error:  # noqa: BLE001 - importing the module may raise anything; the rehearsal shows it
        control.sendall(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        raise SystemExit(1) from None
    control.sendall(b"{}\n")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the kernel reaps environments that end
    while True:
        message, fds, _, _ = socket.recv_fds(control, 1, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _serve(socket.socket(fileno=fds[0]), handler, int(memory_mb), output)
            os._exit(0)
        os.close(fds[0])
        control.sendall(PID.pack(pid))


def _load(name: str) -> Callable[[Any, Context], Any]:
    module_name, _, function_name = name.replace("/", ".").rpartition(".")
    if not module_name:
        raise ImportError(f"handler {name!r} is not of the form module.function")
    handler = getattr(importlib.import_module(module_name), function_name, None)
    if not callable(handler):
        raise ImportError(f"module {module_name} has no function {function_name}")  # noqa: TRY004 - as the import said it
    return handler


def _serve(channel: socket.socket, handler: Callable[[Any, Context], Any], memory_mb: int, output: str) -> None:
    _limit_memory(memory_mb)
    log = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(log, 1)
    reader = channel.makefile("rb")
    while header := reader.read(LENGTH.size):
        request = json.loads(reader.read(LENGTH.unpack(header)[0]))
        try:
            answer = {"result": handler(request["event"], Context(request["id"], request["limit_ms"]))}
            payload = json.dumps(answer).encode()
        except BaseException as error:  # noqa: BLE001 - as in Lambda, any exception becomes an error answer
            payload = json.dumps({"error": {"errorType": type(error).__name__, "errorMessage": str(error)}}).encode()
        sys.stdout.flush()  # one write per line, because all environments append to one file
        channel.sendall(LENGTH.pack(len(payload)) + payload)


def _limit_memory(memory_mb: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):  # macOS refuses to set it
        import resource  # noqa: PLC0415 - not on every platform

        resource.setrlimit(resource.RLIMIT_AS, (memory_mb * 1024 * 1024, memory_mb * 1024 * 1024))


if __name__ == "__main__":
    main()
