"""The mistakes that are planted to see the checks of requests tell them: what stood here once, or may be typed."""

import json
from collections.abc import Callable
from typing import Any, cast

from tests.aws.plant import Drop, Plant


def containers(change: Callable[[dict[str, Any]], object]) -> Callable[[str], str]:
    """A change of the only container inside a task definition's JSON."""

    def changed(text: str) -> str:
        container = cast("list[dict[str, Any]]", json.loads(text))[0]
        change(container)
        return json.dumps([container])

    return changed


def first(**changed: Any) -> Callable[[list[dict[str, Any]]], list[dict[str, Any]]]:
    """A change of a list's first block."""
    return lambda blocks: [{**blocks[0], **changed}, *blocks[1:]]


def _without(block: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in block.items() if key != name}


def _replaced(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


def _widgets(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[str], str]:
    """A change of a dashboard's widgets inside its JSON."""

    def changed(text: str) -> str:
        body = json.loads(text)
        change(body["widgets"])
        return json.dumps(body)

    return changed


def _chart_of(metrics: int) -> dict[str, Any]:
    properties = {"region": "eu-west-1", "period": 60, "stat": "Sum", "metrics": [["A", "B"]] * metrics}
    return {"type": "metric", "properties": properties}


_TOO_WIDE = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "A" * 10240}]})

PLANTS = (
    # What stood in the program once, or could be typed into a setting, and what AWS would have answered.
    Plant("ec2.SecurityGroup", "cache", {"description": "For the cluster's nodes"}, "Description = "),
    Plant("vpc.SecurityGroupEgressRule", "worker-to-aws", {"description": "To AWS's APIs"}, "IpRanges[].Description"),
    Plant(
        "vpc.SecurityGroupIngressRule",
        "cache-of-function",
        {"description": "From the cluster's functions"},
        "UserIdGroupPairs[].Description",
    ),
    Plant("lb.TargetGroup", "session", {"healthCheck": {"enabled": False}}, "interval is above its timeout"),
    Plant("lb.LoadBalancer", "alb", {"name": "internal-alb"}, 'not "internal-"'),
    Plant("elasticache.ReplicationGroup", "cache", {"engineVersion": "8.2"}, "family valkey9: one of family valkey8"),
    Plant("elasticache.ParameterGroup", "cache", {"family": "valkey9.1"}, "redis7, valkey7, valkey8, valkey9"),
    # Sizes and numbers that do not exist.
    Plant("ecs.TaskDefinition", "worker", {"memory": "1024"}, "a size of Fargate's table"),
    Plant("ecs.TaskDefinition", "master", {"cpu": "1000"}, "a size of Fargate's table"),
    Plant("cloudwatch.LogGroup", "session", {"retentionInDays": 31.0}, "retentionInDays = 31"),
    Plant("lambda.Function", "session", {"timeout": 901.0}, "1 to 900 s"),
    Plant("lambda.Function", "session", {"memorySize": 64.0}, "at least 128"),
    Plant("lambda.Function", "audit", {"memorySize": 20480.0}, "128 to 10240 MB"),
    Plant("lb.Listener", "http", {"port": 70000.0}, "Port = 70000: at most 65535"),
    Plant("lb.LoadBalancer", "alb", {"idleTimeout": 4001.0}, "an idle timeout from 1 to 4000 s"),
    Plant("vpc.SecurityGroupIngressRule", "balancer-of-worker", {"toPort": 65536.0}, "ToPort = 65536: a port"),
    Plant("elasticache.ReplicationGroup", "cache", {"replicasPerNodeGroup": 6.0}, "0 to 5"),
    Plant("elasticache.ReplicationGroup", "cache", {"numNodeGroups": 300.0}, "at most 500 nodes"),
    Plant("elasticache.ReplicationGroup", "cache", {"numNodeGroups": 1.5}, "not of type integer"),
    Plant("servicediscovery.Service", "master", {"dnsConfig.dnsRecords": first(ttl=-1.0)}, "TTL = -1: at least 0"),
    Plant("ec2.Vpc", "vpc", {"cidrBlock": "10.0.0.0/8"}, "from /16 to /28"),
    Plant("ec2.Subnet", "public", {"cidrBlock": "10.0.0.1/24"}, "from /16 to /28"),
    # Words that AWS does not know.
    Plant("lambda.Function", "session", {"runtime": "python3.16"}, "Runtime = 'python3.16': none of"),
    Plant("lambda.Function", "session", {"runtime": "python3.8"}, "still makes functions with"),
    Plant("lambda.Function", "session", {"tracingConfig.mode": "On"}, "TracingConfig.Mode = 'On': none of"),
    Plant("ecs.Service", "worker", {"launchType": "FARGAT"}, "launchType = 'FARGAT': none of"),
    Plant("ecs.Service", "master", {"propagateTags": "SERVICES"}, "propagateTags = 'SERVICES': none of"),
    Plant("ecs.TaskDefinition", "master", {"networkMode": "bridge"}, "network mode awsvpc"),
    Plant("ec2.VpcEndpoint", "s3", {"vpcEndpointType": "Gate"}, "VpcEndpointType = 'Gate': none of"),
    Plant("elasticache.ReplicationGroup", "cache", {"engine": "Valkey"}, "valkey or redis"),
    Plant("elasticache.ReplicationGroup", "cache", {"engineVersion": "8.x"}, "engine versions"),
    Plant("elasticache.ReplicationGroup", "cache", {"clusterMode": "on"}, "ClusterMode = 'on': none of"),
    Plant("s3.BucketVersioning", "results", {"versioningConfiguration.status": "On"}, "Status = 'On': none of"),
    Plant(
        "s3.BucketServerSideEncryptionConfiguration",
        "results",
        {"rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES-256"}}]},
        "SSEAlgorithm = 'AES-256': none of",
    ),
    # Names too long, or of letters that the service does not take.
    Plant("lb.TargetGroup", "session", {"name": "a" * 33}, "at most 32 letters"),
    Plant("elasticache.ReplicationGroup", "cache", {"replicationGroupId": "a" * 41}, "1 to 40 letters"),
    Plant("elasticache.ReplicationGroup", "cache", {"replicationGroupId": "my--cache"}, "no two hyphens together"),
    Plant("elasticache.SubnetGroup", "cache", {"name": "my_cache"}, "at most 255 letters, digits, hyphens"),
    Plant("iam.Role", "pull", {"name": "a" * 65}, "at most 64 characters"),
    Plant("iam.Role", "master", {"description": "What the master may do \N{EM DASH} no more"}, "Description = "),
    Plant("lambda.Function", "audit", {"name": "a" * 65}, "at most 64 characters"),
    Plant("s3.Bucket", "results", {"bucket": "My-Results"}, "3 to 63 of a-z 0-9"),
    Plant("ecr.Repository", "load", {"name": "Load"}, "repositoryName = 'Load': does not match"),
    Plant("ecs.Cluster", "load", {"name": "load/1"}, "letters, numbers, underscores and hyphens"),
    Plant("cloudwatch.LogGroup", "load", {"name": "aws/load"}, "not aws/"),
    Plant("cloudwatch.Dashboard", "dashboard", {"dashboardName": "reshard 1"}, "at most 255 of A-Z a-z 0-9 - _"),
    Plant("servicediscovery.Service", "master", {"name": "the master"}, "Name = 'the master': does not match"),
    Plant("ec2.Eip", "nat", {"tags.Project": "load & cache"}, "tag 'Project' = 'load & cache'"),
    # What is required and missing, empty, or one where two are wanted.
    Plant("lambda.Permission", "invoke", {"principal": Drop()}, "Principal: required, and missing"),
    Plant("lb.TargetGroupAttachment", "session", {"targetId": Drop()}, "Targets[0].Id: required, and missing"),
    Plant("iam.Role", "function", {"assumeRolePolicy": Drop()}, "AssumeRolePolicyDocument: required, and missing"),
    Plant("ec2.Subnet", "inner-0", {"vpcId": Drop()}, "VpcId: required, and missing"),
    Plant("elasticache.ReplicationGroup", "cache", {"description": Drop()}, "ReplicationGroupDescription: required"),
    Plant("ecs.TaskDefinition", "worker", {"executionRoleArn": Drop()}, "an execution role"),
    Plant("ecs.Service", "worker", {"networkConfiguration.subnets": []}, "awsvpcConfiguration.subnets: required"),
    Plant("lb.LoadBalancer", "alb", {"subnets": lambda subnets: subnets[:1]}, "two zones' subnets"),
    Plant("elasticache.ReplicationGroup", "cache", {"automaticFailoverEnabled": False}, "cluster mode with failover"),
    Plant("elasticache.SubnetGroup", "cache", {"subnetIds": []}, "a subnet at least"),
    Plant("ecs.Service", "worker", {"enableExecuteCommand": True}, "a task with taskRoleArn"),
    # What nobody has asked AWS about, or what nobody has declared.
    Plant("ecs.Cluster", "load", {"setings": [{"name": "containerInsights"}]}, "setings: internal/service/ecs"),
    Plant("lambda.Function", "session", {"vpcConfig.subnets": ["subnet-1"]}, "vpcConfig.subnets: internal/service"),
    Plant("ec2.NatGateway", "nat", {"subnetId": "subnet-1"}, "no subnet of that id is declared"),
    Plant("ec2.Route", "public-out", {"destinationCidrBlock": "0.0.0.0/33"}, "DestinationCidrBlock = "),
    # Documents inside a property.
    Plant(
        "ecs.TaskDefinition",
        "master",
        {"containerDefinitions": containers(lambda container: container.update(stopTimeout=121))},
        "at most 120 s on Fargate",
    ),
    Plant(
        "ecs.TaskDefinition",
        "worker",
        {"containerDefinitions": containers(lambda container: container.update(stopTimout=60))},
        "containerDefinitions[0].stopTimout = 60: there is no such parameter",
    ),
    Plant(
        "ecs.TaskDefinition",
        "worker",
        {
            "containerDefinitions": containers(
                lambda container: container["logConfiguration"]["options"].pop("awslogs-stream-prefix")
            )
        },
        "awslogs with group, region and stream prefix",
    ),
    Plant(
        "ecs.TaskDefinition",
        "master",
        {"containerDefinitions": containers(lambda container: container["ulimits"][0].update(name="nproc"))},
        "nofile only",
    ),
    Plant("lambda.Function", "session", {"environment.variables.AWS_REGION": "eu-west-1"}, "not AWS_..."),
    Plant("iam.RolePolicy", "master", {"policy": _TOO_WIDE}, "at most 10240"),
    Plant("s3.BucketPolicy", "results", {"policy": "{"}, "Policy = '{': JSON"),
    Plant("ecr.LifecyclePolicy", "load", {"policy": "{}"}, "at least 100 characters"),
    Plant("s3.BucketLifecycleConfiguration", "results", {"rules": first(id="earlier-versions")}, "no two rules"),
    Plant(
        "s3.BucketLifecycleConfiguration",
        "results",
        {"rules": first(abortIncompleteMultipartUpload={"daysAfterInitiation": "7 days"})},
        "DaysAfterInitiation = '7 days': not of type integer",
    ),
    # What AWS would refuse, or what nothing would come of.
    Plant("ec2.Vpc", "vpc", {"tags": lambda tags: tags | {f"k{i}": "" for i in range(50)}}, "at most 50"),
    Plant("ec2.Vpc", "vpc", {"tags": lambda tags: tags | {"AWS:owner": "me"}}, "not aws:"),
    Plant("vpc.SecurityGroupIngressRule", "cache-of-function", {"fromPort": 7000.0}, "does not end before it begins"),
    Plant(
        "vpc.SecurityGroupEgressRule", "worker-to-aws", {"securityGroupId": "dev-master-0123abc"}, "this rule already"
    ),
    Plant("ec2.Subnet", "inner-0", {"cidrBlock": "10.0.1.0/29"}, "from /16 to /28"),
    Plant("ec2.Route", "public-out", {"natGatewayId": "dev-nat-0123abc"}, "exactly one target"),
    Plant("ec2.VpcEndpoint", "s3", {"serviceName": "com.amazonaws.eu-west-1.sqs"}, "for S3 or DynamoDB"),
    Plant("ec2.VpcEndpoint", "s3", {"serviceName": "com.amazonaws.us-east-1.s3"}, "of this region"),
    Plant("lb.Listener", "http", {"protocol": "TCP"}, "HTTP or HTTPS"),
    Plant("lb.Listener", "http", {"defaultActions": [{"type": "forward"}]}, "a target group to forward to"),
    Plant(
        "lambda.Function",
        "session",
        {"environment.variables.BIG": "\N{LATIN SMALL LETTER A WITH DIAERESIS}" * 2000},
        "4 KB",
    ),
    Plant("lambda.Function", "session", {"vpcConfig.securityGroupIds": []}, "subnets and security groups, or neither"),
    Plant("lambda.Permission", "invoke", {"action": "lambda:InvokeFunctions"}, "an action that Lambda has"),
    Plant("elasticache.ReplicationGroup", "cache", {"port": 70000.0}, "Port = 70000: a port"),
    Plant("elasticache.ReplicationGroup", "cache", {"nodeType": "cache.r6gd.xlarge"}, "data tiering for r6gd nodes"),
    Plant("elasticache.ReplicationGroup", "cache", {"snapshotRetentionLimit": 36.0}, "at most 35 days"),
    Plant("ecs.Service", "worker", {"desiredCount": -1.0}, "0 to 5000 tasks"),
    Plant("ecs.Service", "worker", {"deploymentMaximumPercent": 0.0}, "a maximum above the minimum"),
    Plant("ecs.Service", "master", {"deploymentMinimumHealthyPercent": 100.0}, "a maximum above the minimum"),
    Plant("ecs.Service", "worker", {"networkConfiguration.subnets": lambda ids: ids * 9}, "at most 16"),
    Plant("ecs.Service", "worker", {"networkConfiguration.securityGroups": lambda ids: ids * 6}, "at most 5"),
    *(
        Plant("ecs.TaskDefinition", "master", {"containerDefinitions": containers(change)}, told)
        for change, told in (
            (lambda container: container["portMappings"][0].update(containerPort=70000), "containerPort = 70000"),
            (lambda container: container.update(memory=4096), "containers no larger than their task"),
            (lambda container: container.update(cpu=2048), "containers no larger than their task"),
            (lambda container: container["ulimits"][0].update(softLimit=65536), "the soft one no higher"),
            (lambda container: container["ulimits"].append(container["ulimits"][0]), "each limit once"),
        )
    ),
    *(
        Plant("s3.BucketLifecycleConfiguration", "results", {"rules": changed}, "a filter or a prefix, and something")
        for changed in (
            lambda rules: [_without(rules[0], "filter"), *rules[1:]],
            lambda rules: [_without(rules[0], "abortIncompleteMultipartUpload"), *rules[1:]],
            first(abortIncompleteMultipartUpload={"daysAfterInitiation": 0.0}),
            lambda rules: [rules[0], {**rules[1], "noncurrentVersionExpiration": {"noncurrentDays": -1.0}}],
        )
    ),
    Plant("servicediscovery.Service", "master", {"dnsConfig.dnsRecords": first(type="CNAME")}, "with routing WEIGHTED"),
    *(
        Plant("ecr.LifecyclePolicy", "load", {"policy": _replaced(old, new)}, told)
        for old, new, told in (
            ('"countNumber": 14', '"countNumber": 0', "countNumber = 0"),
            ("sinceImagePushed", "sinceImagePushd", "countType = 'sinceImagePushd'"),
            ('"countUnit": "days", ', "", "countUnit = None"),
            ("untagged", "tagged", "tagStatus = 'tagged'"),
            ('"rules"', '"rule"', "one at least"),
        )
    ),
    *(
        Plant("cloudwatch.Dashboard", "dashboard", {"dashboardBody": _widgets(change)}, told)
        for change, told in (
            (lambda widgets: widgets[0].update(type="graph"), "widgets[0].type = 'graph'"),
            (lambda widgets: widgets[1].update(width=30), "widgets[1].width = 30"),
            (lambda widgets: widgets[0]["properties"].pop("region"), "widgets[0].properties.region"),
            (lambda widgets: widgets[3]["properties"].pop("query"), "widgets[3].properties.query"),
            (lambda widgets: widgets[0]["properties"].update(period=45), "period = 45"),
            (lambda widgets: widgets[0]["properties"].update(stat="Avg"), "stat = 'Avg'"),
            (lambda widgets: widgets[0]["properties"].update(metrics=[["Only"]]), "metrics = ['Only']"),
            (lambda widgets: widgets[0]["properties"].update(metrics=[["A", "B", "C"]]), "a value for each dimension"),
            (lambda widgets: widgets[0]["properties"].update(metrics=[["A", "B"]] * 501), "501: at most 500"),
            (lambda widgets: widgets.extend(widgets[:1] * 500), "a list of at most 500"),
            (lambda widgets: widgets.extend(_chart_of(500) for _ in range(5)), "at most 2500"),
        )
    ),
)
WITH_USERS = (
    Plant("elasticache.User", "user", {"accessString": "on ~session_:* -@all +@hashes"}, "categories of commands"),
    Plant("elasticache.User", "user", {"passwords": ["correct,horse/battery"]}, 'without , " / @'),
    Plant("elasticache.User", "user", {"passwords": ["too short"]}, "16 to 128 characters"),
    Plant("elasticache.User", "user", {"accessString": "~session_:* +@hash"}, "begins with on or off"),
    Plant("elasticache.User", "nobody", {"userId": "0-nobody"}, "UserId = '0-nobody': does not match"),
    Plant("elasticache.UserGroup", "users", {"engine": "memcached"}, "Engine = 'memcached': valkey or redis"),
    Plant("elasticache.UserGroup", "users", {"userIds": ["somebody"]}, "users that are declared"),
    Plant("elasticache.ReplicationGroup", "cache", {"transitEncryptionEnabled": False}, "users only over TLS"),
)
WITH_BUDGET = (
    Plant("budgets.Budget", "budget", {"metrics": Drop()}, "an expression with a metric"),
    Plant("budgets.Budget", "budget", {"notifications": first(subscriberEmailAddresses=["me"])}, "an e-mail address"),
    Plant("budgets.Budget", "budget", {"notifications": lambda each: each * 2}, "no two alike"),
    Plant("budgets.Budget", "budget", {"timeUnit": "MONTH"}, "TimeUnit = 'MONTH': none of"),
    Plant("budgets.Budget", "budget", {"limitAmount": "100 USD"}, "Amount = '100 USD'"),
    Plant("budgets.Budget", "budget", {"metrics": "Unblended"}, "Metrics[0] = 'Unblended': none of"),
    Plant(
        "budgets.Budget",
        "budget",
        {"notifications": first(subscriberEmailAddresses=[])},
        "Subscribers: 0 items: at least 1 items",
    ),
)
