"""What AWS says of its rules in prose only: a table, each line with its source.

"Model" is botocore's description of the parameter. A line is a rule for one parameter of some operations, for a whole
request, or (together.py) for requests that must fit one another. `refused` is a value that the rule must refuse: a test
asks it, so that no line holds everything to be right.
"""

import itertools
from collections.abc import Iterable
from typing import Any

from tests.aws.fits import (
    access_string,
    awslogs,
    bucket_name,
    budget_filter,
    cluster_mode,
    container_sizes,
    dns_records,
    environment,
    fargate_container,
    fargate_size,
    fargate_task,
    interfaces,
    json_object,
    lifecycle_rule,
    nodes,
    number,
    percentages,
    snapshots,
    text,
    tiering,
    ulimits,
    users_over_tls,
)
from tests.aws.network_rules import NETWORK_RULES
from tests.aws.requests import Request
from tests.aws.rule import Rule
from tests.aws.together import CACHE_GUIDE, FAMILIES, TOGETHER
from tests.experiment import reference

_GROUP = ("elasticache:CreateReplicationGroup",)
_TASK = ("ecs:RegisterTaskDefinition",)
_FUNCTION = ("lambda:CreateFunction",)
_SERVICE = ("ecs:CreateService",)

_ECS_NAME = r"[A-Za-z0-9_-]{1,255}"
_ECS_NAMED = "up to 255 letters, numbers, underscores and hyphens"
_DAYS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)

RULES = (
    *NETWORK_RULES,
    Rule(
        _GROUP,
        "ReplicationGroupId",
        text(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{0,39}(?<!-)"),
        "1 to 40 letters, digits, hyphens; begins with a letter; no two hyphens together, none at the end",
        "model",
        "a--b",
    ),
    Rule(_GROUP, "Engine", text("valkey|redis"), "valkey or redis", "model", "Valkey"),
    Rule(_GROUP, "ReplicasPerNodeGroup", number(0, 5), "0 to 5", "model", 6),
    Rule(_GROUP, "", nodes, "at most 500 nodes", f"{CACHE_GUIDE}, quotas", {"NumNodeGroups": 501}),
    Rule(
        _GROUP,
        "",
        cluster_mode,
        "cluster mode with failover, Multi-AZ with failover and a replica",
        f"model; {CACHE_GUIDE}, Multi-AZ",
        {"ClusterMode": "enabled", "AutomaticFailoverEnabled": False},
    ),
    Rule(
        _GROUP,
        "",
        tiering,
        "data tiering for r6gd nodes, and for no others",
        "model of DataTieringEnabled",
        {"CacheNodeType": "cache.r6gd.xlarge"},
    ),
    Rule(_GROUP, "", users_over_tls, "users only over TLS", f"{CACHE_GUIDE}, RBAC", {"UserGroupIds": ["a"]}),
    Rule(
        ("elasticache:CreateCacheParameterGroup",),
        "CacheParameterGroupFamily",
        lambda value: value in FAMILIES.values(),
        ", ".join(sorted(set(FAMILIES.values()))),
        f"{CACHE_GUIDE}, engine specific parameters (the model's list ends with valkey8)",
        "valkey8.1",
    ),
    Rule(
        ("elasticache:CreateCacheParameterGroup", "elasticache:ModifyCacheParameterGroup"),
        "CacheParameterGroupName",
        text(r"(?!.*--)[A-Za-z][A-Za-z0-9-]{0,254}(?<!-)"),
        "letters, digits, hyphens; begins with a letter; no two hyphens together, none at the end",
        f"{CACHE_GUIDE}, creating a parameter group",
        "1st",
    ),
    Rule(
        ("elasticache:CreateCacheSubnetGroup",),
        "CacheSubnetGroupName",
        text(r"[A-Za-z0-9-]{1,255}"),
        "at most 255 letters, digits, hyphens",
        "model",
        "my_group",
    ),
    Rule(
        ("elasticache:CreateCacheSubnetGroup",),
        "SubnetIds",
        lambda value: len(value) >= 1,
        "a subnet at least",
        f"{CACHE_GUIDE}, subnets and subnet groups",
        [],
    ),
    Rule(("elasticache:CreateUser",), "Passwords", lambda value: len(value) <= 2, "at most two", "model", ["a"] * 3),
    Rule(
        ("elasticache:CreateUser",),
        "Passwords[]",
        text(r'[^,"/@]{16,128}'),
        '16 to 128 characters without , " / @',
        f"{CACHE_GUIDE}, RBAC",
        "correct,horse/battery",
    ),
    Rule(
        ("elasticache:CreateUser", "elasticache:CreateUserGroup"),
        "Engine",
        text("(?i:valkey|redis)"),
        "valkey or redis",
        "model",
        "memcached",
    ),
    Rule(
        ("elasticache:CreateUser",),
        "AccessString",
        access_string,
        "begins with on or off: without either the user is off; categories of commands that the engine has",
        f"{CACHE_GUIDE}, RBAC; Valkey's documentation, ACL",
        "on ~* +@hashes",
    ),
    Rule(_GROUP, "Port", number(1, 65535), "a port", "TCP", 65536),
    Rule(
        _GROUP,
        "",
        snapshots,
        "backups kept for at most 35 days",
        f"{CACHE_GUIDE}, scheduling automatic backups",
        {"SnapshotRetentionLimit": 36},
    ),
    Rule(_TASK, "family", text(_ECS_NAME), _ECS_NAMED, "model", "a.b"),
    Rule(_TASK, "containerDefinitions[].name", text(_ECS_NAME), _ECS_NAMED, "model", "a b"),
    Rule(("ecs:CreateCluster",), "clusterName", text(_ECS_NAME), _ECS_NAMED, "model", "a/b"),
    Rule(("ecs:CreateService",), "serviceName", text(_ECS_NAME), _ECS_NAMED, "model", ""),
    Rule(
        _TASK,
        "",
        fargate_size,
        "a size of Fargate's table (cpu, memory)",
        "model of memory",
        {"requiresCompatibilities": ["FARGATE"], "cpu": "1024", "memory": "1024"},
    ),
    Rule(
        _TASK,
        "",
        fargate_task,
        "on Fargate: network mode awsvpc, and an execution role",
        "model of networkMode; ECS guide, task execution role",
        {"requiresCompatibilities": ["FARGATE"], "networkMode": "bridge"},
    ),
    Rule(
        _TASK,
        "containerDefinitions[]",
        fargate_container,
        "on Fargate: initProcessEnabled, capabilities and nofile only; host ports as the container's",
        "model of ulimits; ECS guide, task definition differences for Fargate",
        {"ulimits": [{"name": "nproc"}]},
    ),
    Rule(
        _TASK,
        "",
        container_sizes,
        "containers no larger than their task",
        "model of ContainerDefinition's cpu and memory",
        {"cpu": "1024", "memory": "2048", "containerDefinitions": [{"memory": 4096}]},
    ),
    Rule(
        _TASK,
        "containerDefinitions[].ulimits",
        ulimits,
        "each limit once, the soft one no higher than the hard one",
        "setrlimit(2); ECS starts no such container",
        [{"name": "nofile", "softLimit": 2, "hardLimit": 1}],
    ),
    Rule(_TASK, "containerDefinitions[].portMappings[].containerPort", number(1, 65535), "a port", "TCP", 70000),
    Rule(_SERVICE, "desiredCount", number(0, 5000), "0 to 5000 tasks", "ECS guide, service quotas", -1),
    Rule(
        _SERVICE,
        "deploymentConfiguration",
        percentages,
        "a maximum above the minimum: tasks could be neither stopped nor started",
        "ECS guide, service definition parameters",
        {"minimumHealthyPercent": 100, "maximumPercent": 100},
    ),
    *(
        Rule(
            _SERVICE,
            f"networkConfiguration.awsvpcConfiguration.{name}",
            lambda value, most=most: len(value) <= most,
            f"at most {most}",
            "model",
            ["a"] * (most + 1),
        )
        for name, most in (("subnets", 16), ("securityGroups", 5))
    ),
    Rule(_TASK, "containerDefinitions[].stopTimeout", number(1, 120), "at most 120 s on Fargate", "model", 121),
    Rule(
        _TASK,
        "containerDefinitions[].logConfiguration",
        awslogs,
        "awslogs with group, region and stream prefix",
        "ECS guide, awslogs (prefix: Fargate)",
        {"logDriver": "awslogs", "options": {"awslogs-group": "a"}},
    ),
    Rule(("logs:CreateLogGroup",), "logGroupName", text("(?!aws/).*"), "not aws/", "model", "aws/lambda"),
    Rule(
        ("logs:PutRetentionPolicy",),
        "retentionInDays",
        lambda value: value in _DAYS,
        f"one of {', '.join(map(str, _DAYS))}",
        "model",
        31,
    ),
    Rule(_FUNCTION, "FunctionName", text(r"[a-zA-Z0-9_-]{1,64}"), "at most 64 characters", "model", "a" * 65),
    Rule(_FUNCTION, "Timeout", number(1, 900), "1 to 900 s", "model", 901),
    Rule(_FUNCTION, "MemorySize", number(128, 10240), "128 to 10240 MB", "Lambda guide, quotas", 10241),
    Rule(
        _FUNCTION,
        "Runtime",
        text(r"python3\.1[1234]"),
        "a Python that Lambda still makes functions with",
        "Lambda guide, runtimes",
        "python3.8",
    ),
    Rule(
        _FUNCTION,
        "VpcConfig",
        interfaces,
        "subnets and security groups, or neither",
        "Lambda's answer to CreateFunction: SubnetIds and SecurityIds must coexist or be both empty list",
        {"SubnetIds": ["subnet-1"], "SecurityGroupIds": []},
    ),
    Rule(
        ("lambda:AddPermission",),
        "Action",
        lambda value: bool(reference.expand(value)),
        "an action that Lambda has",
        "service authorization reference",
        "lambda:InvokeFunctions",
    ),
    Rule(
        _FUNCTION,
        "Environment.Variables",
        environment,
        "names of letters, digits, _; not AWS_...; 4 KB in all",
        "Lambda guide, environment variables and quotas",
        {"AWS_REGION": "eu-west-1"},
    ),
    Rule(
        ("s3:CreateBucket",),
        "Bucket",
        bucket_name,
        "3 to 63 of a-z 0-9 . -, letters or digits at both ends, no reserved beginning or end",
        "S3 guide, bucket naming rules",
        "sthree-results",
    ),
    Rule(
        ("s3:PutBucketLifecycleConfiguration",),
        "LifecycleConfiguration.Rules",
        lambda rules: len({rule["ID"] for rule in rules}) == len(rules),
        "no two rules with one id",
        "S3 guide, lifecycle configuration elements",
        [{"ID": "a"}, {"ID": "a"}],
    ),
    Rule(
        ("s3:PutBucketLifecycleConfiguration",),
        "LifecycleConfiguration.Rules[]",
        lifecycle_rule,
        "a filter or a prefix, and something to do after a day at least",
        "model of LifecycleRule; S3 guide, lifecycle configuration elements",
        {"ID": "a", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}},
    ),
    Rule(
        ("servicediscovery:CreateService",),
        "DnsConfig",
        dns_records,
        "a CNAME alone, and with routing WEIGHTED",
        "model of DnsRecord",
        {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "CNAME", "TTL": 10}]},
    ),
    *(
        Rule((operation,), path, json_object, "JSON", source, "{")
        for operation, path, source in (
            ("cloudwatch:PutDashboard", "DashboardBody", "CloudWatch guide, dashboard body"),
            ("ecr:PutLifecyclePolicy", "lifecyclePolicyText", "model"),
            ("iam:CreateRole", "AssumeRolePolicyDocument", "model"),
            ("iam:PutRolePolicy", "PolicyDocument", "model"),
            ("s3:PutBucketPolicy", "Policy", "model"),
        )
    ),
    Rule(
        ("cloudwatch:PutDashboard",),
        "DashboardName",
        text(r"[A-Za-z0-9_-]{1,255}"),
        "at most 255 of A-Z a-z 0-9 - _",
        "model",
        "reshard 1",
    ),
    Rule(
        ("budgets:CreateBudget",),
        "Budget",
        budget_filter,
        "an expression with a metric, and neither with cost filters",
        "model of CreateBudget",
        {"FilterExpression": {}},
    ),
    Rule(
        ("budgets:CreateNotification",),
        "Subscribers[]",
        lambda to: to["SubscriptionType"] != "EMAIL" or text(r"[^@\s]+@[^@\s]+\.[^@\s]+")(to["Address"]),
        "an e-mail address",
        "model of Subscriber",
        {"SubscriptionType": "EMAIL", "Address": "me"},
    ),
    Rule(
        ("budgets:CreateBudget",),
        "Budget.BudgetLimit.Amount",
        text(r"\d+(\.\d+)?"),
        "a decimal number",
        "model",
        "100 USD",
    ),
)


def misfits(requests: Iterable[Request]) -> list[str]:
    """One line for each rule of this table that a request breaks: resource, operation, parameter, value, rule."""
    made = list(requests)
    lines = [
        f"{request}: {rule.path or 'the request'} = {value!r}: {rule.allowed} ({rule.source})"
        for request in made
        for rule in RULES
        if f"{request.service}:{request.operation}" in rule.operations
        for value in values(request.parameters, rule.path)
        if not rule.holds(value)
    ]
    return [*lines, *itertools.chain.from_iterable(check(made) for check in TOGETHER)]


def values(parameters: dict[str, Any], path: str) -> list[Any]:
    """What a request has at a path; nothing, if it does not send it."""
    values: list[Any] = [parameters]
    for step in path.split(".") if path else []:
        name, each = step.removesuffix("[]"), step.endswith("[]")
        inside = [item[name] for item in values if name in item]
        values = [item for items in inside for item in items] if each else inside
    return values
