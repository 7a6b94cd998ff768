"""ECS: what the provider sends to create the load's cluster, task definitions and services."""

import json
from typing import Any

from tests.aws.inputs import Inputs, pairs
from tests.aws.provider.call import TOKEN, Call, Creation, Own


def _call(operation: str, **parameters: Any) -> Call:
    return Call("ecs", operation, parameters)


def _tags(inputs: Inputs) -> list[dict[str, str]]:
    return pairs(inputs.words("tags"), "key", "value")


def _cluster(inputs: Inputs, own: Own) -> list[Call]:
    return [_call("CreateCluster", clusterName=own.name, tags=_tags(inputs))]


def _task_definition(inputs: Inputs, _: Own) -> list[Call]:
    """The containers are JSON in ECS's own words, which the provider reads and sends on."""
    create = inputs.always({"family": "family"})
    create |= inputs.if_set(
        {
            "cpu": "cpu",
            "memory": "memory",
            "networkMode": "networkMode",
            "taskRoleArn": "taskRoleArn",
            "executionRoleArn": "executionRoleArn",
            "requiresCompatibilities": "requiresCompatibilities",
        }
    )
    if platform := inputs.block("runtimePlatform"):
        create["runtimePlatform"] = platform.if_set(
            {"cpuArchitecture": "cpuArchitecture", "operatingSystemFamily": "operatingSystemFamily"}
        )
    containers = json.loads(inputs("containerDefinitions"))
    return [_call("RegisterTaskDefinition", containerDefinitions=containers, tags=_tags(inputs), **create)]


def _network(inputs: Inputs) -> dict[str, Any]:
    """What expandNetworkConfiguration makes of the block."""
    network = inputs.block("networkConfiguration")
    if network is None:
        return {}
    inside = network.if_set({"subnets": "subnets", "securityGroups": "securityGroups"})
    inside["assignPublicIp"] = "ENABLED" if network("assignPublicIp", False) else "DISABLED"
    return {"networkConfiguration": {"awsvpcConfiguration": inside}}


def _service(inputs: Inputs, own: Own) -> list[Call]:
    inputs.unsent("waitForSteadyState")
    create = inputs.always(
        {
            "enableEcsManagedTags": "enableECSManagedTags",
            "enableExecuteCommand": "enableExecuteCommand",
            "schedulingStrategy": "schedulingStrategy",
            "desiredCount": "desiredCount",
        },
        enableEcsManagedTags=False,
        enableExecuteCommand=False,
        schedulingStrategy="REPLICA",
        desiredCount=0,
    )
    create |= inputs.if_set(
        {
            "availabilityZoneRebalancing": "availabilityZoneRebalancing",
            "cluster": "cluster",
            "launchType": "launchType",
            "propagateTags": "propagateTags",
            "taskDefinition": "taskDefinition",
        }
    )
    deployment = inputs.always(
        {"deploymentMaximumPercent": "maximumPercent", "deploymentMinimumHealthyPercent": "minimumHealthyPercent"},
        deploymentMaximumPercent=200,
        deploymentMinimumHealthyPercent=100,
    )
    if breaker := inputs.block("deploymentCircuitBreaker"):
        deployment["deploymentCircuitBreaker"] = breaker.always({"enable": "enable", "rollback": "rollback"})
    registries = [
        registry.always({"registryArn": "registryArn"})
        | registry.if_set({"port": "port", "containerPort": "containerPort", "containerName": "containerName"})
        for registry in inputs.blocks("serviceRegistries")
    ]
    if registries:
        create["serviceRegistries"] = registries
    create |= {"deploymentConfiguration": deployment, **_network(inputs)}
    return [_call("CreateService", clientToken=TOKEN, serviceName=own.name, tags=_tags(inputs), **create)]


CREATIONS = {
    "ecs.Cluster": Creation("ecs/cluster.go@00a35305dc1b", _cluster),
    "ecs.TaskDefinition": Creation("ecs/task_definition.go@04fc21d56d73", _task_definition),
    "ecs.Service": Creation("ecs/service.go, 6.x", _service),
}
