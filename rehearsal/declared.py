"""What the program declares, read as the things that the rehearsal has local counterparts for.

Wiring is followed as AWS would follow it - listener -> target group -> attachment -> function, service -> task
definition -> container - so that a program wired wrongly fails here too.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from experiment.program import ProgramError, Resource

T = TypeVar("T")


@dataclass(frozen=True)
class Cache:
    """The replication group."""

    id: str
    host: str
    port: int
    shards: int
    replicas: int
    tls: bool
    engine: str


@dataclass(frozen=True)
class Function:
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
    function: Function


@dataclass(frozen=True)
class Container:
    """The one container of a service's task definition, and how many tasks the service wants."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    count: int


@dataclass(frozen=True)
class Declared:
    """Everything that runs locally."""

    cache: Cache
    listener: Listener
    audit: Function
    master: Container
    worker: Container
    names: frozenset[str]  # that Cloud Map resolves to the master


def read(resources: list[Resource]) -> Declared:
    """Find the parts in the declared resources.

    Raises:
        ProgramError: a part is missing, there is more than one, or it is wired to something that is not declared.
    """
    functions = [_function(resource) for resource in _of(resources, "lambda", "Function")]
    listener = _listener(resources, functions)
    audits = [function for function in functions if function.arn != listener.function.arn]
    containers = [_container(resources, service) for service in _of(resources, "ecs", "Service")]
    return Declared(
        cache=_cache(_single(_of(resources, "elasticache", "ReplicationGroup"), "replication group")),
        listener=listener,
        audit=_single(audits, "audit function (one that no target group leads to)"),
        master=_single([each for each in containers if each.name == "master"], "service with a container master"),
        worker=_single([each for each in containers if each.name == "worker"], "service with a container worker"),
        names=frozenset(_discovery_names(resources)),
    )


def _cache(group: Resource) -> Cache:
    inputs = group.inputs
    return Cache(
        id=str(group.outputs["id"]),
        host=str(group.outputs["configurationEndpointAddress"]),
        port=int(inputs.get("port", 6379)),
        shards=int(inputs["numNodeGroups"]),
        replicas=int(inputs.get("replicasPerNodeGroup", 0)),
        tls=bool(inputs.get("transitEncryptionEnabled")),
        engine=f"{inputs.get('engine', 'redis')} {inputs.get('engineVersion', '')}".strip(),
    )


def _function(resource: Resource) -> Function:
    inputs = resource.inputs
    archive = inputs.get("code", {}).get("archive")
    if not isinstance(archive, dict):
        raise ProgramError(f"function {resource.name}: its code is not an archive of files; declare an AssetArchive")
    return Function(
        name=resource.name,
        arn=str(resource.outputs["arn"]),
        handler=str(inputs["handler"]),
        timeout_s=float(inputs.get("timeout", 3)),
        memory_mb=int(inputs.get("memorySize", 128)),
        environment={str(k): str(v) for k, v in inputs.get("environment", {}).get("variables", {}).items()},
        archive=archive,
    )


def _listener(resources: list[Resource], functions: list[Function]) -> Listener:
    listener = _single(_of(resources, "lb", "Listener"), "listener")
    balancers = [
        each
        for each in _of(resources, "lb", "LoadBalancer")
        if each.outputs["arn"] == listener.inputs.get("loadBalancerArn")
    ]
    forwards = [a for a in listener.inputs.get("defaultActions", []) if a.get("type") == "forward"]
    target = _single(forwards, "forward action of the listener").get("targetGroupArn")
    attached = [
        each.inputs.get("targetId")
        for each in _of(resources, "lb", "TargetGroupAttachment")
        if each.inputs.get("targetGroupArn") == target
    ]
    arn = _single(attached, f"target of the listener's target group {target}")
    return Listener(
        host=str(_single(balancers, "load balancer of the listener").outputs["dnsName"]),
        port=int(listener.inputs["port"]),
        target_group_arn=str(target),
        function=_single([each for each in functions if each.arn == arn], f"function with the target's ARN {arn}"),
    )


def _container(resources: list[Resource], service: Resource) -> Container:
    tasks = [
        each
        for each in _of(resources, "ecs", "TaskDefinition")
        if each.outputs["arn"] == service.inputs.get("taskDefinition")
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
        str(each.outputs["id"]): str(each.outputs["name"])
        for each in _of(resources, "servicediscovery", "PrivateDnsNamespace")
    }
    return [
        f"{service.outputs['name']}.{namespaces[service.inputs['dnsConfig']['namespaceId']]}"
        for service in _of(resources, "servicediscovery", "Service")
        if service.inputs.get("dnsConfig", {}).get("namespaceId") in namespaces
    ]


def _of(resources: list[Resource], package: str, kind: str) -> list[Resource]:
    return [each for each in resources if each.kind == kind and each.type.startswith(f"aws:{package}/")]


def _single(found: list[T], what: str) -> T:
    if len(found) != 1:
        raise ProgramError(f"the program must declare exactly one {what}; it declares {len(found)}")
    return found[0]
