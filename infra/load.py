"""The load: a Locust master and its workers as Fargate services, in the network that the balancer is in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.iam import assumed_by, document, statement
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


class Load(pulumi.ComponentResource):
    """Cluster, discovery, log group, roles, and the two services."""

    def __init__(self, args: LoadArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Load", named("load"), None, opts)
        self._here = pulumi.ResourceOptions(parent=self)
        self._args = args
        self.cluster = aws.ecs.Cluster(named("load"), opts=self._here)
        self.log_group = aws.cloudwatch.LogGroup(named("load"), retention_in_days=args.retention_days, opts=self._here)
        host, discovery_arn = self._discovery()
        pull, pull_policy = self._pull_role()
        master_role, master_policy = self._master_role()
        master_command = ["--master", "--host", args.target_url, "--web-host", "127.0.0.1", "--web-port", str(UI_PORT)]
        master_task = self._task(
            "master", memory=2048, command=master_command, execution_role=pull, task_role=master_role
        )
        worker_command = ["--worker", "--master-host", host]
        worker_task = self._task("worker", memory=3072, command=worker_command, execution_role=pull, task_role=None)
        self.master = self._service(
            "master",
            master_task,
            1,
            args.master_group_id,
            depends_on=[*args.master_needs, pull_policy, master_policy],
            registry=discovery_arn,
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

    def _discovery(self) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        """The host name under which the workers find the master, and the registry's ARN."""
        namespace = aws.servicediscovery.PrivateDnsNamespace(
            named("net"), description="Where the workers find the master", vpc=self._args.vpc_id, opts=self._here
        )
        service = aws.servicediscovery.Service(
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
        return pulumi.Output.concat(service.name, ".", namespace.name), service.arn

    def _pull_role(self) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        layers = ["ecr:BatchCheckLayerAvailability", "ecr:GetDownloadUrlForLayer", "ecr:BatchGetImage"]
        log_streams = self.log_group.arn.apply(lambda arn: f"{arn}:*")
        return self._role(
            "pull",
            "What ECS may do to start a task",
            [
                # The login is the account's, not a repository's: AWS has no resource to name here.
                statement("LogIn", ["ecr:GetAuthorizationToken"], "*"),
                statement("Pull", layers, self._args.repository_arn),
                statement("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], log_streams),
            ],
        )

    def _master_role(self) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        args = self._args
        written = [pulumi.Output.concat(args.bucket_arn, "/", prefix, "*") for prefix in WRITTEN]
        return self._role(
            "master",
            "What the Locust master may do",
            [
                statement("WriteRunFolders", ["s3:PutObject", "s3:GetObject"], written),
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

    def _role(
        self, part: str, description: str, statements: list[dict[str, Any]]
    ) -> tuple[aws.iam.Role, aws.iam.RolePolicy]:
        role = aws.iam.Role(
            named(part), description=description, assume_role_policy=assumed_by("ecs-tasks"), opts=self._here
        )
        policy = aws.iam.RolePolicy(
            named(part),
            role=role.id,
            policy=document(statements),
            opts=self._here,
        )
        return role, policy

    def _task(
        self,
        part: str,
        *,
        memory: int,
        command: Sequence[pulumi.Input[str]],
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
            cpu="1024",
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
