"""Reads the declared resources that have local counterparts.

Follows the wiring as AWS does (listener -> target group -> attachment -> function; service -> task definition ->
container), so a program that is wired wrongly fails here too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from experiment.program import ProgramError, Resource

T = TypeVar("T")


@dataclass(frozen=True)
class ReplicationGroup:
    """The replication group."""

    id: str
    host: str
    port: int
    shards: int
    replicas: int
    tls: bool
    engine: str


@dataclass(frozen=True)
class DeclaredFunction:
    """A Lambda function; `archive` maps names in the archive to `{"file": path}` or `{"text": content}`."""

    name: str
    arn: str
    handler: str
    timeout_s: float
    memory_mb: int
    environment: Mapping[str, str]
    archive: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True)
class Listener:
    """The balancer's listener; `host` is the balancer's DNS name."""

    host: str
    port: int
    target_group_arn: str
    function: DeclaredFunction


@dataclass(frozen=True)
class Container:
    """The container of a service's task definition, and the service's number of tasks."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    count: int


@dataclass(frozen=True)
class DeclaredStack:
    """All declared parts that run locally."""

    cache: ReplicationGroup
    listener: Listener
    audit: DeclaredFunction
    master: Container
    worker: Container
    names: frozenset[str]  # that Cloud Map resolves to the master


def read(resources: list[Resource]) -> DeclaredStack:
    """Find the parts in the declared resources.

    Raises:
        ProgramError: a part is missing, there is more than one, or it is wired to something that is not declared.
    """
    functions = [_function(resource) for resource in _of(resources, "lambda", "Function")]
    listener = _listener(resources, functions)
    audits = [function for function in functions if function.arn != listener.function.arn]
    containers = [_container(resources, service) for service in _of(resources, "ecs", "Service")]
    return DeclaredStack(
        cache=_cache(_single(_of(resources, "elasticache", "ReplicationGroup"), "replication group")),
        listener=listener,
        audit=_single(audits, "audit function (one that no target group leads to)"),
        master=_single(
            [container for container in containers if container.name == "master"], "service with a container master"
        ),
        worker=_single(
            [container for container in containers if container.name == "worker"], "service with a container worker"
        ),
        names=frozenset(_discovery_names(resources)),
    )


def _cache(group: Resource) -> ReplicationGroup:
    inputs = group.inputs
    return ReplicationGroup(
        id=str(group.outputs["id"]),
        host=str(group.outputs["configurationEndpointAddress"]),
        port=int(inputs.get("port", 6379)),
        shards=int(inputs["numNodeGroups"]),
        replicas=int(inputs.get("replicasPerNodeGroup", 0)),
        tls=bool(inputs.get("transitEncryptionEnabled")),
        engine=f"{inputs.get('engine', 'redis')} {inputs.get('engineVersion', '')}".strip(),
    )


def _function(resource: Resource) -> DeclaredFunction:
    inputs = resource.inputs
    archive = inputs.get("code", {}).get("archive")
    if not isinstance(archive, dict):
        raise ProgramError(f"function {resource.name}: its code is not an archive of files; declare an AssetArchive")
    return DeclaredFunction(
        name=resource.name,
        arn=str(resource.outputs["arn"]),
        handler=str(inputs["handler"]),
        timeout_s=float(inputs.get("timeout", 3)),
        memory_mb=int(inputs.get("memorySize", 128)),
        environment={str(k): str(v) for k, v in inputs.get("environment", {}).get("variables", {}).items()},
        archive=archive,
    )


def _listener(resources: list[Resource], functions: list[DeclaredFunction]) -> Listener:
    listener = _single(_of(resources, "lb", "Listener"), "listener")
    balancers = [
        resource
        for resource in _of(resources, "lb", "LoadBalancer")
        if resource.outputs["arn"] == listener.inputs.get("loadBalancerArn")
    ]
    forwards = [a for a in listener.inputs.get("defaultActions", []) if a.get("type") == "forward"]
    target = _single(forwards, "forward action of the listener").get("targetGroupArn")
    attached = [
        resource.inputs.get("targetId")
        for resource in _of(resources, "lb", "TargetGroupAttachment")
        if resource.inputs.get("targetGroupArn") == target
    ]
    arn = _single(attached, f"target of the listener's target group {target}")
    return Listener(
        host=str(_single(balancers, "load balancer of the listener").outputs["dnsName"]),
        port=int(listener.inputs["port"]),
        target_group_arn=str(target),
        function=_single(
            [function for function in functions if function.arn == arn], f"function with the target's ARN {arn}"
        ),
    )


def _container(resources: list[Resource], service: Resource) -> Container:
    tasks = [
        resource
        for resource in _of(resources, "ecs", "TaskDefinition")
        if resource.outputs["arn"] == service.inputs.get("taskDefinition")
    ]
    task = _single(tasks, f"task definition of service {service.name}")
    container: dict[str, Any] = _single(
        json.loads(task.inputs["containerDefinitions"]), f"container of task definition {task.name}"
    )
    return Container(
        name=str(container["name"]),
        command=tuple(str(word) for word in container.get("command", [])),
        environment={str(pair["name"]): str(pair["value"]) for pair in container.get("environment", [])},
        count=int(service.inputs.get("desiredCount", 1)),
    )


def _discovery_names(resources: list[Resource]) -> list[str]:
    namespaces = {
        str(resource.outputs["id"]): str(resource.outputs["name"])
        for resource in _of(resources, "servicediscovery", "PrivateDnsNamespace")
    }
    return [
        f"{service.outputs['name']}.{namespaces[service.inputs['dnsConfig']['namespaceId']]}"
        for service in _of(resources, "servicediscovery", "Service")
        if service.inputs.get("dnsConfig", {}).get("namespaceId") in namespaces
    ]


def _of(resources: list[Resource], package: str, kind: str) -> list[Resource]:
    return [resource for resource in resources if resource.kind == kind and resource.type.startswith(f"aws:{package}/")]


def _single(matches: list[T], description: str) -> T:
    if len(matches) != 1:
        raise ProgramError(f"the program must declare exactly one {description}; it declares {len(matches)}")
    return matches[0]
