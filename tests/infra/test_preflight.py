"""What the deploying machine lacks is said before anything is created, with what to do about it."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer

import pulumi
import pytest

from infra import preflight, settings
from infra.preflight import docker_problem, region_problem
from tests.infra.engine import docker_daemon
from tests.infra.program import run


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No AWS or Docker settings of whoever runs the tests."""
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE", "DOCKER_HOST", "DOCKER_TLS_VERIFY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))


def test_a_region_is_found_where_the_provider_looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Stack file, either variable, or the profile in use."""
    assert region_problem("eu-west-1", None) is None
    missing = region_problem(None, None)
    assert missing is not None
    assert "pulumi config set aws:region" in missing
    assert '"default"' in missing
    (tmp_path / "config").write_text("[default]\noutput = json\n[profile work]\nregion = eu-west-1\n")
    assert region_problem(None, None) is not None
    assert region_problem(None, "work") is None
    monkeypatch.setenv("AWS_PROFILE", "work")
    assert region_problem(None, None) is None
    monkeypatch.delenv("AWS_PROFILE")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.setenv(name, "eu-west-1")
        assert region_problem(None, None) is None
        monkeypatch.delenv(name)


def test_an_unreadable_aws_file_is_named(tmp_path: Path) -> None:
    """A broken file is no reason for a stack trace."""
    (tmp_path / "config").write_text("region = eu-west-1\n")
    problem = region_problem(None, None)
    assert problem is not None
    assert str(tmp_path / "config") in problem


class _Daemon(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        del format, args


@pytest.fixture
def unix_daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A socket file that answers as Docker's does."""
    path = tmp_path_factory.mktemp("d") / "s"
    server = ThreadingUnixStreamServer(str(path), _Daemon)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"unix://{path}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_daemon_is_found(unix_daemon: str) -> None:
    """Over a socket file and over TCP; over TLS and ssh only Docker's provider can ask, and is left to it."""
    assert docker_problem(unix_daemon) is None
    with docker_daemon() as address:
        assert docker_problem(address) is None
    assert docker_problem("ssh://somebody@somewhere") is None


def test_no_daemon_says_what_to_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The address that was tried, what happened there, and what to start."""
    with docker_daemon() as address:
        pass
    for host in (f"unix://{tmp_path}/none.sock", address):
        problem = docker_problem(host, timeout_s=2)
        assert problem is not None
        assert host in problem
        assert "start Docker" in problem
        assert "docker context" in problem
    monkeypatch.setenv("DOCKER_HOST", address)
    assert "docker context" not in str(docker_problem(address, timeout_s=2))


def test_nothing_is_asked_under_mocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rehearsal needs neither Docker nor a region."""
    monkeypatch.setattr(preflight, "DEFAULT_DOCKER_HOST", "unix:///no/such.sock")
    assert list(run(settings.as_config(settings.defaults())))


def test_bad_settings_end_the_program_before_the_first_resource() -> None:
    """One error with everything in it, and nothing declared."""
    with pytest.raises(pulumi.RunError) as error:
        run(settings.as_config({**settings.defaults(), "shardCount": 0, "loadTasks": "many", "shardCoutn": 2}))
    lines = str(error.value).splitlines()
    assert lines[0].startswith("Nothing was changed")
    assert [line.split(":")[0] for line in lines[1:]] == ["- shardCoutn", "- shardCount", "- loadTasks"]
