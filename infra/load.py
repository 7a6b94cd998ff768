"""The load: a Locust master and its workers as Fargate services, in the network that the balancer is in."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.naming import COMPONENT, named
from infra.results import WRITTEN

UI_PORT = 8089
# The namespace of the custom metrics that the master prints as Embedded Metric Format lines (recorder/record.py).
METRICS_NAMESPACE = "LoadGenerator"


@dataclass(frozen=True)
class LoadArgs:
    """What runs, where, and what it may reach."""

    vpc_id: pulumi.Input[str]
    subnet_ids: Sequence[pulumi.Input[str]]
    master_group_id: pulumi.Input[str]
    worker_group_id: pulumi.Input[str]
    master_needs: Sequence[pulumi.Resource]
    worker_needs: Sequence[pulumi.Resource]
    image_ref: pulumi.Input[str]
    repository_arn: pulumi.Input[str]
    target_url: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]]
    workers: int
    bucket_arn: pulumi.Input[str]
    cache_arn: pulumi.Input[str]
    retention_days: int


def statement(sid: str, actions: list[str], resources: Any) -> dict[str, Any]:
    """One Allow of a policy document."""
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}


def tasks_may_assume() -> str:
    """Who may take a task's role: ECS, for a task."""
    principal = {"Service": "ecs-tasks.amazonaws.com"}
    allow = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [allow]})


class Load(pulumi.ComponentResource):
    """Cluster, discovery, log group, roles, and the two services."""

    def __init__(self, args: LoadArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Load", named("load"), None, opts)
        self._here = pulumi.ResourceOptions(parent=self)
        self._args = args
        self.cluster = aws.ecs.Cluster(named("load"), opts=self._here)
        self.log_group = aws.cloudwatch.LogGroup(named("load"), retention_in_days=args.retention_days, opts=self._here)
        namespace = aws.servicediscovery.PrivateDnsNamespace(
            named("net"), description="Where the workers find the master", vpc=args.vpc_id, opts=self._here
        )
        discovery = aws.servicediscovery.Service(
            named("master"),
            name="master",
            dns_config={
                "namespace_id": namespace.id,
                "routing_policy": "MULTIVALUE",
                "dns_records": [{"type": "A", "ttl": 10}],
            },
            force_destroy=True,
            opts=self._here,
        )
        pull, pull_policy = self._role(
            "pull",
            "What ECS may do to start a task",
            [
                # The login is the account's, not a repository's: AWS has no resource to name here.
                statement("LogIn", ["ecr:GetAuthorizationToken"], "*"),
                statement(
                    "Pull",
                    ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"],
                    args.repository_arn,
                ),
                statement(
                    "WriteLogs",
                    ["logs:CreateLogStream", "logs:PutLogEvents"],
                    self.log_group.arn.apply(lambda arn: f"{arn}:*"),
                ),
            ],
        )
        task, task_policy = self._role(
            "master",
            "What the Locust master may do",
            [
                statement(
                    "WriteRunFolders",
                    ["s3:PutObject", "s3:GetObject"],
                    [pulumi.Output.concat(args.bucket_arn, "/", prefix, "*") for prefix in WRITTEN],
                ),
                statement("ListRunFolders", ["s3:ListBucket"], args.bucket_arn),
                statement("WatchTheReshard", ["elasticache:DescribeReplicationGroups"], args.cache_arn),
                # None of these can be limited to a resource: AWS defines no resource types for them.
                statement("ReadEventsAndMetrics", ["elasticache:DescribeEvents", "cloudwatch:GetMetricData"], "*"),
                statement(
                    "PortForward",
                    [
                        "ssmmessages:CreateControlChannel",
                        "ssmmessages:CreateDataChannel",
                        "ssmmessages:OpenControlChannel",
                        "ssmmessages:OpenDataChannel",
                    ],
                    "*",
                ),
            ],
        )
        master_host = pulumi.Output.concat(discovery.name, ".", namespace.name)
        master_task = self._task(
            "master",
            cpu=1024,
            memory=2048,
            command=["--master", "--host", args.target_url, "--web-host", "127.0.0.1", "--web-port", str(UI_PORT)],
            execution_role=pull,
            task_role=task,
        )
        worker_task = self._task(
            "worker",
            cpu=1024,
            memory=3072,
            command=["--worker", "--master-host", master_host],
            execution_role=pull,
            task_role=None,
        )
        self.master = self._service(
            "master",
            master_task,
            1,
            args.master_group_id,
            depends_on=[*args.master_needs, pull_policy, task_policy],
            registry=discovery.arn,
        )
        self.worker = self._service(
            "worker",
            worker_task,
            args.workers,
            args.worker_group_id,
            depends_on=[*args.worker_needs, pull_policy, self.master],
            registry=None,
        )
        self.register_outputs({})

    def _role(
        self, part: str, description: str, statements: list[dict[str, Any]]
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            named(part), description=description, assume_role_policy=tasks_may_assume(), opts=self._here
        )
        policy = aws.iam.RolePolicy(
            named(part),
            role=role.id,
            policy=pulumi.Output.json_dumps({"Version": "2012-10-17", "Statement": statements}),
            opts=self._here,
        )
        return role, policy

    def _task(
        self,
        part: str,
        *,
        cpu: int,
        memory: int,
        command: list[pulumi.Input[str]],
        execution_role: aws.iam.Role,
        task_role: aws.iam.Role | None,
    ) -> aws.ecs.TaskDefinition:
        container = {
            "name": part,
            "image": self._args.image_ref,
            "essential": True,
            "command": command,
            # ECS returns the variables sorted; another order would make each `up` see a change.
            "environment": [{"name": name, "value": value} for name, value in sorted(self._args.environment.items())],
            "portMappings": [{"containerPort": 5557, "protocol": "tcp"}] if part == "master" else [],
            # A connection per arrival: thousands may be open or closing at once. 65,535 is Fargate's default in ECS's
            # API reference (Ulimit), which names no maximum; it is said here, for the default was 1,024 once.
            "ulimits": [{"name": "nofile", "softLimit": 65535, "hardLimit": 65535}],
            # An init process passes SIGTERM on and reaps what the SSM agent starts.
            "linuxParameters": {"initProcessEnabled": True},
            # On SIGTERM the master closes the run folder; 120 s is Fargate's maximum.
            "stopTimeout": 120,
            "logConfiguration": {
                "logDriver": "awslogs",
                "options": {
                    "awslogs-group": self.log_group.name,
                    "awslogs-region": aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=self)).region,
                    "awslogs-stream-prefix": part,
                },
            },
        }
        return aws.ecs.TaskDefinition(
            named(part),
            family=named(part),
            requires_compatibilities=["FARGATE"],
            network_mode="awsvpc",
            cpu=str(cpu),
            memory=str(memory),
            runtime_platform={"operating_system_family": "LINUX", "cpu_architecture": "X86_64"},
            execution_role_arn=execution_role.arn,
            task_role_arn=task_role.arn if task_role else None,
            container_definitions=pulumi.Output.json_dumps([container]),
            opts=self._here,
        )

    def _service(
        self,
        part: str,
        task: aws.ecs.TaskDefinition,
        count: int,
        group_id: pulumi.Input[str],
        *,
        depends_on: Sequence[pulumi.Resource],
        registry: pulumi.Input[str] | None,
    ) -> aws.ecs.Service:
        return aws.ecs.Service(
            named(part),
            cluster=self.cluster.arn,
            task_definition=task.arn,
            launch_type="FARGATE",
            desired_count=count,
            # Old tasks stop before new ones start: never two masters, never more workers than declared.
            deployment_minimum_healthy_percent=0,
            deployment_maximum_percent=100,
            deployment_circuit_breaker={"enable": True, "rollback": True},
            # Rebalancing would move workers between zones in the middle of a run.
            availability_zone_rebalancing="DISABLED",
            # The web UI's port-forward goes through the SSM agent that ECS adds for this.
            enable_execute_command=part == "master",
            network_configuration={
                "subnets": self._args.subnet_ids,
                "security_groups": [group_id],
                "assign_public_ip": False,
            },
            service_registries={"registry_arn": registry} if registry else None,
            # A task that cannot start fails `pulumi up`, instead of going unnoticed.
            wait_for_steady_state=True,
            propagate_tags="SERVICE",
            opts=pulumi.ResourceOptions(parent=self, depends_on=list(depends_on)),
        )
