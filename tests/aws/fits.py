"""Rules of AWS that are told in prose, as questions about one value; prose.py says which parameter each is for."""

import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any, cast

from tests.infra.program import REGION


def text(pattern: str) -> Callable[[Any], bool]:
    """Text of that pattern from end to end."""
    return lambda value: isinstance(value, str) and re.fullmatch(pattern, value, re.ASCII) is not None


def number(low: int, high: int) -> Callable[[Any], bool]:
    """A whole number in a range."""
    return lambda value: isinstance(value, int) and low <= value <= high


def network(value: Any) -> bool:
    """A block that begins where it says, of the size that VPCs and subnets may have."""
    try:
        return 16 <= ipaddress.ip_network(value).prefixlen <= 28
    except ValueError:
        return False


def cidr(value: Any) -> bool:
    """A network that begins where it says."""
    try:
        return bool(ipaddress.ip_network(value))
    except ValueError:
        return False


def json_object(value: Any) -> bool:
    """A JSON document."""
    try:
        return isinstance(json.loads(value), dict)
    except ValueError:
        return False


# CPU units: smallest memory, largest, steps (MiB).
_FARGATE = {
    "512": (1024, 4096, 1024),
    "1024": (2048, 8192, 1024),
    "2048": (4096, 16384, 1024),
    "4096": (8192, 30720, 1024),
    "8192": (16384, 61440, 4096),
    "16384": (32768, 122880, 8192),
}


def fargate_size(task: dict[str, Any]) -> bool:
    """A pair of CPU and memory that Fargate has."""
    if task.get("requiresCompatibilities") != ["FARGATE"]:
        return True
    cpu, memory = task.get("cpu"), task.get("memory", "")
    if cpu == "256":
        return memory in ("512", "1024", "2048")
    if cpu not in _FARGATE or not memory.isdigit():
        return False
    low, high, step = _FARGATE[cpu]
    return low <= int(memory) <= high and int(memory) % step == 0


def fargate_task(task: dict[str, Any]) -> bool:
    """Private images and the awslogs driver need the role that ECS takes before the task runs."""
    fargate = task.get("requiresCompatibilities") == ["FARGATE"]
    return not fargate or (task.get("networkMode") == "awsvpc" and "executionRoleArn" in task)


def fargate_container(container: dict[str, Any]) -> bool:
    """Of Linux's parameters Fargate takes the init process and a capability, of the limits the open files."""
    linux = set(container.get("linuxParameters", {})) <= {"initProcessEnabled", "capabilities"}
    limits = {limit["name"] for limit in container.get("ulimits", [])} <= {"nofile"}
    ports = all(port.get("hostPort", port["containerPort"]) == port["containerPort"] for port in _ports(container))
    return linux and limits and ports


def _ports(container: dict[str, Any]) -> list[dict[str, Any]]:
    return container.get("portMappings", [])


def awslogs(logs: dict[str, Any]) -> bool:
    """What the driver has to be told on Fargate."""
    needed = {"awslogs-group", "awslogs-region", "awslogs-stream-prefix"}
    return logs.get("logDriver") != "awslogs" or needed <= set(logs.get("options", {}))


def health_check(target: dict[str, Any]) -> bool:
    """ELB takes its own default for what is not sent: for a Lambda target 35 s, and 30 s for an answer."""
    interval = target.get("HealthCheckIntervalSeconds", 35)
    return target.get("TargetType") != "lambda" or interval > target.get("HealthCheckTimeoutSeconds", 30)


def idle_timeout(attribute: dict[str, str]) -> bool:
    """A balancer's idle timeout in its range."""
    return attribute["Key"] != "idle_timeout.timeout_seconds" or 1 <= int(attribute["Value"]) <= 4000


def bucket_name(value: str) -> bool:
    """A name that S3 takes for a general purpose bucket."""
    fits = re.fullmatch(r"[a-z0-9](?:[a-z0-9-]|\.(?!\.)){1,61}[a-z0-9]", value, re.ASCII)
    reserved = value.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or value.endswith(
        ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")
    )
    return bool(fits) and not reserved and not re.fullmatch(r"[\d.]+", value)


def cluster_mode(group: dict[str, Any]) -> bool:
    """Cluster mode needs failover, and a second zone needs somebody to fail over to."""
    failover, replicas = group.get("AutomaticFailoverEnabled"), group.get("ReplicasPerNodeGroup", 0)
    return (group.get("ClusterMode") != "enabled" or failover is True) and (
        not group.get("MultiAZEnabled") or (failover is True and replicas >= 1)
    )


def nodes(group: dict[str, Any]) -> bool:
    """No more nodes than one cluster may have."""
    return group.get("NumNodeGroups", 1) * (1 + group.get("ReplicasPerNodeGroup", 0)) <= 500


def users_over_tls(group: dict[str, Any]) -> bool:
    """User groups want encryption in transit."""
    return "UserGroupIds" not in group or group.get("TransitEncryptionEnabled") is True


def tiering(group: dict[str, Any]) -> bool:
    """Nodes with disks use them, others have none."""
    return group.get("CacheNodeType", "").startswith("cache.r6gd.") == (group.get("DataTieringEnabled") is True)


def environment(variables: dict[str, str]) -> bool:
    """A function's variables: names, and their size in all."""
    names = all(re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_]+", name) and not name.startswith("AWS_") for name in variables)
    return names and sum(len((name + value).encode()) for name, value in variables.items()) <= 4096


def port_range(allowed: dict[str, Any]) -> bool:
    """Ports from one to the same or a higher one."""
    return allowed.get("FromPort", -1) <= allowed.get("ToPort", 65535)


def one_route_target(route: dict[str, Any]) -> bool:
    """One place to send to, of the kinds that the program uses."""
    return sum(name in route for name in ("GatewayId", "NatGatewayId", "VpcEndpointId", "NetworkInterfaceId")) == 1


def gateway_endpoint(endpoint: dict[str, Any]) -> bool:
    """Only few services have gateway endpoints, and those of the same region only."""
    kind, service = endpoint.get("VpcEndpointType"), endpoint.get("ServiceName", "")
    return kind != "Gateway" or service in {
        f"com.amazonaws.{REGION}.{name}" for name in ("s3", "s3express", "dynamodb")
    }


def forwards(action: dict[str, Any]) -> bool:
    """Forwarding says where to."""
    return action.get("Type") != "forward" or bool(action.get("TargetGroupArn"))


def container_sizes(task: dict[str, Any]) -> bool:
    """What the containers reserve is no more than the task has."""
    containers = cast("list[dict[str, Any]]", task["containerDefinitions"])
    return all(sum(container.get(name, 0) for container in containers) <= int(task[name]) for name in ("cpu", "memory"))


def ulimits(limits: list[dict[str, Any]]) -> bool:
    """Each limit once, and none softer than hard."""
    names = [limit["name"] for limit in limits]
    return len(set(names)) == len(names) and all(limit["softLimit"] <= limit["hardLimit"] for limit in limits)


def percentages(deployment: dict[str, Any]) -> bool:
    """A deployment that may stop or start a task."""
    return 0 <= deployment.get("minimumHealthyPercent", 100) < deployment.get("maximumPercent", 200)


def interfaces(network_config: dict[str, Any]) -> bool:
    """Both or neither."""
    return bool(network_config.get("SubnetIds")) == bool(network_config.get("SecurityGroupIds"))


def snapshots(group: dict[str, Any]) -> bool:
    """Days that automatic backups are kept; 0, which is not sent, for none."""
    return 0 <= group.get("SnapshotRetentionLimit", 0) <= 35


# Valkey's and Redis OSS's alike.
_CATEGORIES = (
    "admin|all|bitmap|blocking|connection|dangerous|fast|geo|hash|hyperloglog|keyspace|list|pubsub|read|scripting|set"
    "|slow|sortedset|stream|string|transaction|write"
)


def access_string(rules: str) -> bool:
    """On or off first, and categories that there are."""
    categories = [word for word in rules.split() if word[1:2] == "@"]
    return rules.startswith(("on ", "off ")) and all(re.fullmatch(rf"[+-]@({_CATEGORIES})", one) for one in categories)


def lifecycle_rule(rule: dict[str, Any]) -> bool:
    """What it is for, and something to do, each after a positive number of days or versions."""
    actions = [rule[name] for name in ("AbortIncompleteMultipartUpload", "NoncurrentVersionExpiration") if name in rule]
    counted = all(action and all(number(1, 2**31 - 1)(value) for value in action.values()) for action in actions)
    return (("Filter" in rule) != ("Prefix" in rule)) and bool(actions) and counted


def dns_records(dns: dict[str, Any]) -> bool:
    """An alias is alone, and answered by weight."""
    types = [record["Type"] for record in dns["DnsRecords"]]
    return "CNAME" not in types or (types == ["CNAME"] and dns.get("RoutingPolicy") == "WEIGHTED")


def budget_filter(budget: dict[str, Any]) -> bool:
    """Expression and metric go together, and not with the older filters."""
    newer = {"FilterExpression", "Metrics"} & set(budget)
    return len(newer) != 1 and not (newer and {"CostFilters", "CostTypes"} & set(budget))
