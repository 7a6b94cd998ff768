"""The declaration is read as AWS would wire it, and a reshard may change only the cache and the dashboard."""

from dataclasses import replace
from typing import Any

import pytest

from experiment import program
from experiment.program import ProgramError, Resource
from infra import settings as infra_settings
from rehearsal import declared
from rehearsal.stack import LocalStack


def declare(**settings: object) -> list[Resource]:
    """What the project's own program declares with the stack file's settings and these."""
    return program.declare(infra_settings.from_files(infra_settings.ROOT, "dev", settings), "dev")


@pytest.fixture(scope="module")
def resources() -> list[Resource]:
    """The program with one shard."""
    return declare(shardCount=1)


def without(resources: list[Resource], kind: str, name: str = "") -> list[Resource]:
    """The same without resources of one kind, or one of them."""
    return [resource for resource in resources if resource.kind != kind or (name and resource.name != name)]


def with_inputs(resources: list[Resource], kind: str, **inputs: Any) -> list[Resource]:
    """The same with inputs of one kind altered."""
    return [
        replace(resource, inputs={**resource.inputs, **inputs}) if resource.kind == kind else resource
        for resource in resources
    ]


def test_a_second_shard_alters_the_group_and_the_dashboard_only(resources: list[Resource]) -> None:
    """What the rehearsal plays at 65 % is just what `pulumi up` would do with shardCount 2."""
    changed = program.changes(resources, declare(shardCount=2))
    assert {key.split("::")[0].rsplit(":", 1)[-1]: names for key, names in changed.items()} == {
        "ReplicationGroup": ["numNodeGroups"],
        "Dashboard": ["dashboardBody"],
    }
    program.refuse_other_changes(changed)


@pytest.mark.parametrize(
    ("kind", "inputs", "said"),
    [
        ("Function", {"memorySize": 512}, "Function::dev-session: memorySize"),
        ("ReplicationGroup", {"engineVersion": "8.2"}, "ReplicationGroup::dev-cache: engineVersion"),
    ],
)
def test_anything_else_that_changes_is_named(
    resources: list[Resource], kind: str, inputs: dict[str, Any], said: str
) -> None:
    """A reshard that would touch the function, or replace the cluster, is refused by name."""
    with pytest.raises(ProgramError, match=said):
        program.refuse_other_changes(program.changes(resources, with_inputs(resources, kind, **inputs)))


def test_a_resource_that_comes_or_goes_is_a_change(resources: list[Resource]) -> None:
    """A resource declared in only one of the two runs is named too."""
    with pytest.raises(ProgramError, match=r"Bucket::.*gone"):
        program.refuse_other_changes(program.changes(resources, without(resources, "Bucket")))


def test_the_parts_are_found_by_their_wiring(resources: list[Resource]) -> None:
    """Listener, target group and attachment lead to the session function; the other function is the audit."""
    stack = declared.read(resources)
    assert stack.cache.shards == 1
    assert stack.cache.replicas == 1
    assert stack.listener.function.handler == "function.handler.handler"
    assert stack.audit.handler == "function.audit.handler"
    assert stack.listener.function.environment["CACHE_HOST"] == stack.cache.host
    assert stack.worker.count == 3
    assert stack.listener.host in " ".join(stack.master.command)
    assert any(word in stack.names for word in stack.worker.command)


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("ReplicationGroup", "", "exactly one replication group; it declares 0"),
        ("TargetGroupAttachment", "", "exactly one target of the listener's target group"),
        ("TaskDefinition", "dev-worker", "exactly one task definition of service dev-worker"),
        ("Listener", "", "exactly one listener; it declares 0"),
    ],
)
def test_missing_wiring_is_named(resources: list[Resource], kind: str, name: str, said: str) -> None:
    """A program that AWS could not serve is not rehearsed as if it could."""
    with pytest.raises(ProgramError, match=said):
        declared.read(
            without(resources, kind, name) if not name else [r for r in resources if (r.kind, r.name) != (kind, name)]
        )


def test_tls_is_refused_with_a_remedy(resources: list[Resource]) -> None:
    """The bundled server has no TLS: said before anything starts."""
    with pytest.raises(ProgramError, match="--set transitEncryption=false"):
        LocalStack(
            declared.read(with_inputs(resources, "ReplicationGroup", transitEncryptionEnabled=True)),
            environments=1,
            server=None,
        )


def test_a_program_that_fails_is_quoted() -> None:
    """The program's own message reaches the user."""
    with pytest.raises(ProgramError, match="shardCoutn"):
        declare(shardCoutn=2)


def test_secret_inputs_are_read() -> None:
    """A password makes the functions' variables a secret: they are found all the same."""
    with_user = declare(cacheUsername="app", cachePassword="x" * 16, transitEncryption=True)
    variables = declared.read(with_user).listener.function.environment
    assert (variables["CACHE_USERNAME"], variables["CACHE_PASSWORD"]) == ("app", "x" * 16)
