"""The API requests that the AWS provider makes of what the program declares.

Each type's mapping was written from the provider's own source (tests/aws/provider names file and commit): what it
sends, the defaults that it sends undeclared, and the further requests that a creation makes. A property that no mapping
reads raises UnmappedError: nobody has asked AWS's rules about it.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.aws.inputs import Inputs
from tests.aws.provider import ec2, ecs, elasticache, elbv2, iam, lambda_, others, s3
from tests.aws.provider.call import Call, Creation, Own, UnmappedError
from tests.infra.program import SUFFIX, Declared, Program

CREATIONS: dict[str, Creation] = {
    **ec2.CREATIONS,
    **ecs.CREATIONS,
    **elasticache.CREATIONS,
    **elbv2.CREATIONS,
    **iam.CREATIONS,
    **lambda_.CREATIONS,
    **others.CREATIONS,
    **s3.CREATIONS,
}
# Built and pushed by Docker's provider, which asks ECR nothing that the program declares.
OUTSIDE = frozenset({"index.Image"})
# What may be declared in place of the name that Pulumi makes: the resource's own, and a bit of random behind it.
_NAMES = ("name", "replicationGroupId", "statementId")
# How EC2's ids begin.
_EC2_KINDS = {
    "ec2.DefaultSecurityGroup": "sg",
    "ec2.Eip": "eipalloc",
    "ec2.InternetGateway": "igw",
    "ec2.NatGateway": "nat",
    "ec2.RouteTable": "rtb",
    "ec2.SecurityGroup": "sg",
    "ec2.Subnet": "subnet",
    "ec2.Vpc": "vpc",
}


@dataclass(frozen=True)
class Request:
    """One request, and the resource that it is made for."""

    urn: str
    service: str
    operation: str
    parameters: dict[str, Any]

    def __str__(self) -> str:
        return f"{self.urn}: {self.service} {self.operation}"


def creations(program: Program, of: Declared | None = None) -> list[Request]:
    """The requests of the first `up`, each resource's in the provider's order; or those of one resource only."""
    ids = _ids(program)
    created = [of] if of else [resource for resource in program if resource.short_type not in OUTSIDE]
    return [request for resource in created for request in _creation(resource, ids)]


def changes(before: Program, after: Program) -> list[Request]:
    """The requests of an `up` that changes what may change in place: the number of shards, and the dashboard."""
    assert before.resources.keys() == after.resources.keys()
    ids = _ids(after)
    made: list[Request] = []
    for old, new in ((before.resources[urn], after.resources[urn]) for urn in before.resources):
        names = old.inputs.keys() | new.inputs.keys()
        # An archive never equals another here; Pulumi compares their hashes.
        changed = sorted(name for name in names - {"code"} if old.inputs.get(name) != new.inputs.get(name))
        match new.short_type, changed:
            case _, []:
                continue
            case "elasticache.ReplicationGroup", ["numNodeGroups"]:
                shards = Inputs(new.inputs, ids)("numNodeGroups")
                made.append(_made(new, elasticache.shard_count(new.name + SUFFIX, shards)))
            case "cloudwatch.Dashboard", ["dashboardBody"]:
                made += _creation(new, ids)
            case kind, _:
                raise UnmappedError(f"{new.urn}: a change of {kind}'s {', '.join(changed)} is not mapped")
    return made


def ec2_id(kind: str, urn: str) -> str:
    """The id that EC2 makes for a resource."""
    return f"{kind}-{hashlib.sha256(urn.encode()).hexdigest()[:17]}"


def _ids(program: Program) -> dict[tuple[str, str], str]:
    """The ids that EC2 makes, by kind and mocked id."""
    return {
        (kind, resource.name + SUFFIX): ec2_id(kind, resource.urn)
        for resource in program
        if (kind := _EC2_KINDS.get(resource.short_type))
    }


def _creation(resource: Declared, ids: Mapping[tuple[str, str], str]) -> list[Request]:
    mapping = CREATIONS.get(resource.short_type)
    if mapping is None:
        raise UnmappedError(f"{resource.urn}: no mapping for {resource.short_type}; read the provider, write one")
    inputs = Inputs(resource.inputs, ids)
    mocked = resource.name + SUFFIX
    try:
        name = next((inputs(name) for name in _NAMES if name in inputs), mocked)
        id_ = ids.get((_EC2_KINDS.get(resource.short_type, ""), mocked), mocked)
        calls = mapping.build(inputs, Own(name, id_))
    except (LookupError, UnmappedError) as error:
        raise UnmappedError(f"{resource.urn}: {error}") from None
    if unread := sorted(set(inputs.unread())):
        raise UnmappedError(
            f"{resource.urn}: {', '.join(unread)}: internal/service/{mapping.read} has no mapping for it"
        )
    return [_made(resource, call) for call in calls]


def _made(resource: Declared, call: Call) -> Request:
    return Request(resource.urn, call.service, call.operation, call.parameters)
