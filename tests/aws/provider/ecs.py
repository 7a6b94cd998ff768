"""ECS: what the provider sends to create the load's cluster, task definitions and services."""

import json
from typing import Any

from tests.aws.given import Given, pairs
from tests.aws.provider.call import TOKEN, Call, Creation, Own


def _call(operation: str, **parameters: Any) -> Call:
    return Call("ecs", operation, parameters)


def _tags(given: Given) -> list[dict[str, str]]:
    return pairs(given.words("tags"), "key", "value")


def _cluster(given: Given, own: Own) -> list[Call]:
    return [_call("CreateCluster", clusterName=own.name, tags=_tags(given))]


def _task_definition(given: Given, _: Own) -> list[Call]:
    """The containers are JSON in ECS's own words, which the provider reads and sends on."""
    create = given.always({"family": "family"})
    create |= given.if_set(
        {
            "cpu": "cpu",
            "memory": "memory",
            "networkMode": "networkMode",
            "taskRoleArn": "taskRoleArn",
            "executionRoleArn": "executionRoleArn",
            "requiresCompatibilities": "requiresCompatibilities",
        }
    )
    if platform := given.block("runtimePlatform"):
        create["runtimePlatform"] = platform.if_set(
            {"cpuArchitecture": "cpuArchitecture", "operatingSystemFamily": "operatingSystemFamily"}
        )
    containers = json.loads(given("containerDefinitions"))
    return [_call("RegisterTaskDefinition", containerDefinitions=containers, tags=_tags(given), **create)]


def _network(given: Given) -> dict[str, Any]:
    """What expandNetworkConfiguration makes of the block."""
    network = given.block("networkConfiguration")
    if network is None:
        return {}
    inside = network.if_set({"subnets": "subnets", "securityGroups": "securityGroups"})
    inside["assignPublicIp"] = "ENABLED" if network("assignPublicIp", False) else "DISABLED"
    return {"networkConfiguration": {"awsvpcConfiguration": inside}}


def _service(given: Given, own: Own) -> list[Call]:
    given.unsent("waitForSteadyState")
    create = given.always(
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
    create |= given.if_set(
        {
            "availabilityZoneRebalancing": "availabilityZoneRebalancing",
            "cluster": "cluster",
            "launchType": "launchType",
            "propagateTags": "propagateTags",
            "taskDefinition": "taskDefinition",
        }
    )
    deployment = given.always(
        {"deploymentMaximumPercent": "maximumPercent", "deploymentMinimumHealthyPercent": "minimumHealthyPercent"},
        deploymentMaximumPercent=200,
        deploymentMinimumHealthyPercent=100,
    )
    if breaker := given.block("deploymentCircuitBreaker"):
        deployment["deploymentCircuitBreaker"] = breaker.always({"enable": "enable", "rollback": "rollback"})
    registries = [
        each.always({"registryArn": "registryArn"})
        | each.if_set({"port": "port", "containerPort": "containerPort", "containerName": "containerName"})
        for each in given.blocks("serviceRegistries")
    ]
    if registries:
        create["serviceRegistries"] = registries
    create |= {"deploymentConfiguration": deployment, **_network(given)}
    return [_call("CreateService", clientToken=TOKEN, serviceName=own.name, tags=_tags(given), **create)]


CREATIONS = {
    "ecs.Cluster": Creation("ecs/cluster.go@00a35305dc1b", _cluster),
    "ecs.TaskDefinition": Creation("ecs/task_definition.go@04fc21d56d73", _task_definition),
    "ecs.Service": Creation("ecs/service.go, 6.x", _service),
}
