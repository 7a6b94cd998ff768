"""The load image is built as the program builds it, holds what it needs, and does a run as the program declares it."""

import http.server
import json
import shutil
import socket
import tempfile
import threading
import time
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contract.runread import read_run
from infra.context import stage
from infra.settings import ROOT
from tests.infra import dockerengine
from tests.infra.dockerengine import Docker
from tests.infra.program import declare

WHY_NOT = dockerengine.why_not()
pytestmark = [pytest.mark.image, pytest.mark.alone, pytest.mark.skipif(WHY_NOT is not None, reason=str(WHY_NOT))]

IMAGE = "load-test"


@pytest.fixture(scope="module")
def docker() -> Iterator[Docker]:
    """An engine with the image, built from the staged context on a base that is made here."""
    with tempfile.TemporaryDirectory(prefix="docker-") as name, dockerengine.engine(Path(name)) as docker:
        folder = Path(name)
        checkout = folder / "checkout"
        for part in ("locust", "contract", "recorder"):
            shutil.copytree(ROOT / part, checkout / part)
        context = checkout / stage(checkout)
        base = dockerengine.make_base(docker, folder)
        docker.run(
            "build", "--network", "host", "--build-arg", f"BASE_IMAGE={base}", "--tag", IMAGE,
            "--file", str(context / "locust" / "Dockerfile"), str(context),
        )  # fmt: skip
        yield docker


def inside(docker: Docker, program: str) -> Any:
    """What a Python program prints as JSON inside the image, without a network."""
    return json.loads(docker.run("run", "--rm", "--network", "none", "--entrypoint", "python3", IMAGE, "-c", program))


def test_holds_only_what_it_needs(docker: Docker) -> None:
    """No tests, no notes, no bytecode, no secrets: the generator, its profiles, and the packages they import."""
    files = inside(
        docker,
        "import json, pathlib; print(json.dumps([str(p) for d in ('/app', '/packages') for p in "
        "pathlib.Path(d).rglob('*') if p.is_file()]))",
    )
    own = {name for name in files if name.startswith("/app/")}
    with_numpy = ("hdrread", "runread", "runtables")  # they read whole run folders
    readers = {f"/app/contract/{name}.py" for name in with_numpy}
    expected = {
        f"/app/{path.relative_to(ROOT).as_posix()}"
        for pattern in (
            "locust/*.py",
            "locust/loadgen/*.py",
            "locust/profiles/*.yml",
            "locust/requirements.txt",
            "contract/*.py",
            "recorder/*.py",
        )
        for path in ROOT.glob(pattern)
    }
    assert own == expected - readers
    assert not [name for name in files if name.endswith(".pyc")]
    for unneeded in ("pip", "pulumi", "numpy", "redis", "plotly", "moto"):
        assert not [name for name in files if name.startswith(f"/packages/{unneeded}/")], unneeded


def test_is_not_root_and_can_write_nothing_but_runs(docker: Docker) -> None:
    """Whoever gets into the container can change neither the generator nor the packages."""
    seen = inside(
        docker,
        "import json, os; print(json.dumps({'uid': os.getuid(), 'cwd': os.getcwd(), 'writable': [d for top in "
        "('/app', '/packages') for d, _, _ in os.walk(top) if os.access(d, os.W_OK)]}))",
    )
    assert seen["uid"] != 0
    assert seen["cwd"] == "/app"
    assert seen["writable"] == ["/app/runs"]


class _Function(http.server.BaseHTTPRequestHandler):
    """Answers as the function behind the balancer does."""

    answered = 0

    def do_GET(self) -> None:
        type(self).answered += 1
        reply = {"session": str(uuid.uuid4()), "connection": 0.001, "write": 0.0005, "read": 0.0004}
        body = json.dumps(reply | {"redirects": 0, "retries": 0}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        del format, args


@pytest.fixture
def target() -> Iterator[str]:
    """The URL of a local server."""
    _Function.answered = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Function)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def free_port() -> int:
    """A port that nobody has right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def declared(part: str, replaced: dict[str, str]) -> list[str]:
    """`docker run` words for a declared container: its command and environment, where AWS would be replaced."""
    program = declare(loadProfile="short", loadScale="1", loadCompress="3", loadTasks=2, loadAutostart=True)
    container = json.loads(program.one("ecs.TaskDefinition", part).inputs["containerDefinitions"])[0]
    elsewhere = {"LOAD_RESULTS_BUCKET": "", "LOAD_CACHE_ID": ""}
    words: list[str] = []
    for variable in container["environment"]:
        words += ["--env", f"{variable['name']}={elsewhere.get(variable['name'], variable['value'])}"]
    command = list(container["command"])
    for option, value in replaced.items():
        if option in command:
            command[command.index(option) + 1] = value
        else:
            command += [option, value]
    return [*words, "--init", IMAGE, *command]


def test_master_and_two_workers_do_a_run(docker: Docker, target: str, tmp_path: Path) -> None:
    """The declared commands and environments start by themselves, deliver every arrival, leave a whole run folder."""
    web, bind = str(free_port()), str(free_port())
    names = [f"load-{part}-{uuid.uuid4().hex[:8]}" for part in ("master", "worker", "worker")]
    host = ["run", "--detach", "--network", "host", "--name"]
    try:
        docker.run(
            *host, names[0], *declared("master", {"--host": target, "--web-port": web, "--master-bind-port": bind})
        )
        for name in names[1:]:
            docker.run(*host, name, *declared("worker", {"--master-host": "127.0.0.1", "--master-port": bind}))
        live = _wait(docker, names[0], f"http://127.0.0.1:{web}/arrivals/live")
        docker.run("cp", f"{names[0]}:/app/runs", str(tmp_path / "runs"))
        docker.run("stop", "--time", "60", names[0])
        assert docker.run("inspect", "--format", "{{.State.ExitCode}}", names[0]).strip() == "0"
        for name in names:
            assert "Traceback" not in docker.run("logs", name)
    finally:
        docker.run("rm", "--force", *names)
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.endswith("-dev")
    run = read_run(folder)
    assert not run.damage
    totals = live["totals"]
    assert totals["offered"] == totals["ok"] == 300
    assert _Function.answered == 300 + run.meta["warmed"]["requests"]
    assert run.meta["ended"] == "finished"
    assert len(run.meta["versions"]) > 1
    assert (folder / "sessions.bin").stat().st_size == 16 * 300


def _wait(docker: Docker, name: str, url: str) -> dict[str, Any]:
    """The live figures once the run is finished; fails with the master's log."""
    deadline = time.monotonic() + 90
    live: dict[str, Any] = {}
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - a loopback address made above
                live = json.load(answer)
        except OSError:
            live = {}
        if live.get("state") == "finished":
            return live
        time.sleep(0.5)
    raise AssertionError(f"not finished: {live}\n{docker.run('logs', name)}")
