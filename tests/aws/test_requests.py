"""The mappings from declared resources to the provider's requests: nothing is left out, neither a type nor a value."""

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from tests.aws.configurations import CONFIGURATIONS
from tests.aws.plant import Plant
from tests.aws.requests import CREATIONS, OUTSIDE, UnmappedError, changes, creations
from tests.infra.program import Declared, Program, declare

# What tells the provider how to work, and is sent to nobody; and the function's archive, which no model looks into.
UNSENT = {
    "ecr.Repository forceDelete",
    "ecs.Service waitForSteadyState",
    "elasticache.ReplicationGroup applyImmediately",
    "s3.Bucket forceDestroy",
    "servicediscovery.Service forceDestroy",
}


def test_every_type_is_mapped() -> None:
    """The mappings are those of the declared types: none is missing, and none is left over."""
    declared = {
        resource.short_type for configuration in CONFIGURATIONS.values() for resource in configuration.declare()
    }
    assert declared - OUTSIDE == set(CREATIONS)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in a resource's inputs a plain value stands."""
    if isinstance(value, dict):
        for key, inside in value.items():
            yield from _leaves(inside, (*path, key))
    elif isinstance(value, list):
        for place, inside in enumerate(value):
            yield from _leaves(inside, (*path, place))
    elif isinstance(value, bool | int | float | str):
        yield path


def _another(value: Any) -> Any:
    """A value of the same type that is not the declared one."""
    if isinstance(value, bool):
        return not value
    return f"{value}x" if isinstance(value, str) else value + 1


def _changed(resource: Declared, path: tuple[Any, ...]) -> Declared:
    inputs = {key: value if key == "code" else copy.deepcopy(value) for key, value in resource.inputs.items()}
    inside: Any = inputs
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = _another(inside[path[-1]])
    return replace(resource, inputs=inputs)


@pytest.mark.parametrize("configuration", ["user over TLS on Valkey", "with a budget"])
def test_every_declared_value_reaches_a_request(configuration: str) -> None:
    """Another value makes other requests, or is refused: no mapping reads a property and forgets to send it."""
    program = CONFIGURATIONS[configuration].declare()
    silent: set[str] = set()
    for resource in (entry for entry in program if entry.short_type not in OUTSIDE):
        before = creations(program, of=resource)
        for path in _leaves(resource.inputs):
            try:
                after = creations(program, of=_changed(resource, path))
            except (UnmappedError, ValueError):  # the latter: a document that is no JSON any more
                continue
            if after == before:
                silent.add(f"{resource.short_type} {'.'.join(map(str, path))}")
    assert silent == UNSENT


def test_a_property_that_is_not_mapped_is_told() -> None:
    """A new property does not pass unchecked, not inside a block either."""
    program = declare("dev")
    for planted, told in (
        ({"ipv6CidrBlock": "fd00::/8"}, r"dev-vpc: ipv6CidrBlock: internal/service/ec2/vpc_\.go"),
        ({"tags": None, "enableDnsSupport": True, "region": "eu-west-2"}, r"dev-vpc: region: "),
    ):
        with pytest.raises(UnmappedError, match=told):
            creations(Plant("ec2.Vpc", "vpc", planted, "").into(program))
    inside = Plant("ecs.Service", "master", {"networkConfiguration.ipv6": True}, "")
    with pytest.raises(UnmappedError, match=r"dev-master: networkConfiguration\.ipv6: "):
        creations(inside.into(program))


def test_a_type_that_is_not_mapped_is_told() -> None:
    """A new resource type does not pass unchecked."""
    program = declare("dev")
    topic = replace(program.one("ec2.Vpc"), type="aws:sns/topic:Topic")
    with pytest.raises(UnmappedError, match=r"dev-vpc: no mapping for sns\.Topic"):
        creations(Program({**program.resources, topic.urn: topic}))


def test_the_reshard_makes_two_requests() -> None:
    """One setting changed: the shards' number, and the dashboard that shows each node."""
    made = changes(declare("dev"), declare("dev", shardCount=2))
    assert [request.operation for request in made] == ["ModifyReplicationGroupShardConfiguration", "PutDashboard"]
    assert made[0].parameters["NodeGroupCount"] == 2


def test_a_change_that_is_not_mapped_is_told() -> None:
    """An `up` that would change something else in place is not taken for a reshard."""
    before = declare("dev")
    after = Plant("elasticache.ReplicationGroup", "cache", {"nodeType": "cache.r7g.xlarge"}, "").into(before)
    with pytest.raises(UnmappedError, match=r"dev-cache: a change of .*ReplicationGroup's nodeType"):
        changes(before, after)
