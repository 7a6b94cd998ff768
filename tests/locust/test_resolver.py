"""The name under test: its addresses take turns, it is resolved again, and one that cannot be used is named."""

import socket

import pytest

from loadgen import plain
from loadgen.resolver import Resolver, Target, TargetError
from tests.locust.servers import Server, good, send


def test_all_addresses_of_a_name_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A load balancer's addresses take turns."""
    monkeypatch.setattr(plain, "resolve", lambda _, port: [(socket.AF_INET, (f"127.0.0.{n}", port)) for n in (1, 2, 3)])
    with Server(good, host="0.0.0.0").running() as server:
        resolver = Resolver("balancer.test", server.port)
        resolver.resolve()
        sent = send(server.port, resolver=resolver)
    assert sent.outcomes == {"ok": 30}
    assert set(server.by_address.values()) == {10}


def test_ipv6_and_a_dead_address(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with an IPv6 address that works and an IPv4 address that refuses loses no arrival."""
    if not socket.has_ipv6:
        pytest.skip("this system has no IPv6")
    addresses = [(socket.AF_INET, ("127.0.0.9", 0)), (socket.AF_INET6, ("::1", 0, 0, 0))]
    monkeypatch.setattr(plain, "resolve", lambda _, port: [(f, (a[0], port, *a[2:])) for f, a in addresses])
    try:
        with Server(good, host="::1").running() as server:
            resolver = Resolver("balancer.test", server.port)
            resolver.resolve()
            sent = send(server.port, resolver=resolver)
    except OSError:
        pytest.skip("this system has no ::1")
    assert sent.outcomes == {"ok": 30}
    assert any("127.0.0.9" in detail and "trying another address" in detail for _, _, detail in sent.details)


def test_a_name_is_resolved_again_and_a_failure_keeps_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """New addresses are taken up; a resolver that fails for a while loses nothing."""
    answers: list[object] = [
        [(socket.AF_INET, ("127.0.0.1", 1))],
        OSError("no resolver"),
        [(socket.AF_INET, ("127.0.0.2", 1))],
    ]

    def resolve(host: str, port: int) -> object:
        del host, port
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(plain, "resolve", resolve)
    resolver = Resolver("balancer.test", 1)
    assert resolver.next() is None
    seen: list[object] = []
    for _ in range(3):
        resolver.resolve()
        seen.append((resolver.next() or (0, ("nobody", 0)))[1][0])
    assert seen == ["127.0.0.1", "127.0.0.1", "127.0.0.2"]


def test_a_name_that_never_resolves_is_said_by_name() -> None:
    """No address: arrivals are missed, and the example says which name and what to check."""
    resolver = Resolver("no-such-name.invalid", 80)
    resolver.resolve()
    sent = send(80, resolver=resolver)
    assert sent.outcomes == {"unresolved": 30}
    assert "no-such-name.invalid cannot be resolved" in sent.details[0][2]
    assert "check --host" in sent.details[0][2]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("name", "must be an URL such as"),
        ("https://name/", "plain http"),
        ("http://", "must be an URL such as"),
        ("http://name:port/", "give an URL such as"),
        ("http://name:99999/", "give an URL such as"),
        ("http://na me/", "percent-encode"),
        ("http://name/ü", "percent-encode"),
    ],
)
def test_a_wrong_host_is_named(url: str, message: str) -> None:
    """A --host that cannot be used is quoted, with what it should look like."""
    with pytest.raises(TargetError) as error:
        Target(url)
    assert message in str(error.value)
    assert repr(url) in str(error.value)
