"""The declared stack really runs here, a wrongly declared one is refused, and the audit finds what is lost."""

import json
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from experiment import program
from experiment.audit import audit
from experiment.errors import ExperimentError
from function import session
from infra import settings as infra_settings
from rehearsal import declared
from rehearsal.declared import DeclaredStack
from rehearsal.functions import FunctionsError
from rehearsal.stack import LocalStack


@pytest.fixture(scope="module")
def parts() -> DeclaredStack:
    """What the program declares with its defaults, but with short time limits: a wrong host is tried until then."""
    stack = declared.read(program.declare({**infra_settings.defaults(), "functionTimeout": 3}, "dev"))
    return replace(stack, audit=replace(stack.audit, timeout_s=4.0))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[DeclaredStack], LocalStack]]:
    """Start cluster and functions of a declaration; they end with the test."""
    made: list[LocalStack] = []

    def make(stack: DeclaredStack) -> LocalStack:
        running = LocalStack(stack, environments=4, server=None)
        made.append(running)
        running.start_clusters(sham=False)
        running.start_functions(tmp_path)
        return running

    yield make
    for running in made:
        running.stop()


def with_variable(stack: DeclaredStack, name: str, value: str) -> DeclaredStack:
    """The same with one of the session function's variables altered."""
    function = stack.listener.function
    altered = replace(function, environment={**function.environment, name: value})
    return replace(stack, listener=replace(stack.listener, function=altered))


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("CACHE_HOST", "dev-cache.primary.invalid", "dev-cache.primary.invalid"),
        ("CACHE_PORT", "6380", "6380"),
        ("CACHE_CONNECTION", "often", "CACHE_CONNECTION is 'often'"),
        ("CACHE_TLS", "", "CACHE_TLS is ''"),
    ],
)
def test_a_wrong_variable_fails_before_the_load(
    parts: DeclaredStack, start: Callable[[DeclaredStack], LocalStack], name: str, value: str, said: str
) -> None:
    """What is declared is what runs: a wrong host, port or word shows in the first invocation, and is named."""
    with pytest.raises(FunctionsError, match="the declared function answers") as failed:
        start(with_variable(parts, name, value))
    assert said in str(failed.value)


def test_a_wrong_handler_fails_before_the_load(
    parts: DeclaredStack, start: Callable[[DeclaredStack], LocalStack]
) -> None:
    """A handler that the declared archive does not hold is named with Python's own words."""
    wrong = replace(parts, audit=replace(parts.audit, handler="function.nothing.handler"))
    with pytest.raises(FunctionsError, match=r"function\.nothing\.handler.*No module named"):
        start(wrong)


def test_the_audit_finds_what_is_lost_and_what_is_changed(
    parts: DeclaredStack, start: Callable[[DeclaredStack], LocalStack], tmp_path: Path
) -> None:
    """Of 12,000 acknowledged sessions one deleted, one altered and one never written are found, and no other."""
    running = start(parts)
    primary = running.cluster.primaries[0].admin
    acknowledged = [session.new_id() for _ in range(12000)]
    pipe = primary.pipeline(transaction=False)
    for session_id in acknowledged[:-1]:
        pipe.execute_command("HSET", session.key(session_id), *session.flat(session.fields(session_id)))
    pipe.execute()
    with urllib.request.urlopen(running.functions.url) as answer:  # noqa: S310 - the listener on loopback
        acknowledged.append(json.loads(answer.read())["session"])
    (tmp_path / "sessions.bin").write_bytes(b"".join(uuid.UUID(session_id).bytes for session_id in acknowledged))

    primary.delete(session.key(acknowledged[17]))
    primary.hset(session.key(acknowledged[6000]), "company", "somebody else's")
    result = audit(tmp_path, lambda sessions: running.functions.invoke_audit({"sessions": list(sessions)}))

    assert json.loads((tmp_path / "audit.json").read_text()) == result
    assert (result["complete"], result["acknowledged"], result["checked"]) == (True, 12001, 12001)
    assert (result["missing"], result["different"]) == (2, 1)
    assert {(example["session"], example["problem"]) for example in result["examples"]} == {
        (acknowledged[17], "missing"),
        (acknowledged[11999], "missing"),
        (acknowledged[6000], "different"),
    }


def test_an_audit_that_cannot_ask_is_not_complete(
    parts: DeclaredStack, start: Callable[[DeclaredStack], LocalStack], tmp_path: Path
) -> None:
    """With a shard gone its sessions are unchecked, which is not the same as intact."""
    running = start(parts)
    sessions = [uuid.uuid4().bytes for _ in range(10)]
    (tmp_path / "sessions.bin").write_bytes(b"".join(sessions))
    for node in running.cluster.nodes:
        running.processes.stop(node.process)
    with pytest.raises(ExperimentError, match="it checked 0 of 10 sessions"):
        audit(tmp_path, lambda sessions: running.functions.invoke_audit({"sessions": list(sessions)}))
    kept = json.loads((tmp_path / "audit.json").read_text())
    assert (kept["complete"], kept["checked"]) == (False, 0)
    assert kept["problems"]


def test_reaching_the_limit_of_environments_is_said(
    parts: DeclaredStack, start: Callable[[DeclaredStack], LocalStack]
) -> None:
    """Forty requests at once on four environments: all are answered, and the host says that some had to wait."""
    running = start(parts)
    assert not running.functions.limit_was_reached()
    with ThreadPoolExecutor(40) as pool:
        asked = [pool.submit(urllib.request.urlopen, running.functions.url, timeout=30) for _ in range(40)]
        assert [reply.result().status for reply in asked] == [200] * 40
    assert running.functions.limit_was_reached()
