"""The functions: one writes and reads a session per request, one audits the sessions afterwards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.archive import function_archive
from infra.iam import assumed_by, document, statement
from infra.naming import COMPONENT, named

RUNTIME = "python3.13"
SESSION_HANDLER = "function.handler.handler"
AUDIT_HANDLER = "function.audit.handler"
# A call reads up to 5,000 sessions; only the experiment's audit step waits for it.
AUDIT_TIMEOUT_S = 120

# Lets Lambda make and remove the network interfaces of a function in a VPC; ec2:DescribeSubnets is added below.
# AWSLambdaVPCAccessExecutionRole would include that, but also logs:CreateLogGroup on everything: see WriteLogs.
INTERFACES_POLICY = "arn:aws:iam::aws:policy/service-role/AWSLambdaENIManagementAccess"


@dataclass(frozen=True)
class FunctionArgs:
    """Where the functions run, with which variables and limits."""

    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    environment: Mapping[str, pulumi.Input[str]]
    memory_mb: int
    timeout_s: int
    retention_days: int


class Functions(pulumi.ComponentResource):
    """Two functions from one archive: `session` behind the balancer, `audit` for the experiment."""

    def __init__(self, args: FunctionArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Functions", named("functions"), None, opts)
        here = pulumi.ResourceOptions(parent=self)
        self.logs = {
            part: aws.cloudwatch.LogGroup(named(part), retention_in_days=args.retention_days, opts=here)
            for part in ("session", "audit")
        }
        role = aws.iam.Role(
            named("function"),
            description="What the functions may do",
            assume_role_policy=assumed_by("lambda"),
            opts=here,
        )
        log_streams = [group.arn.apply(lambda arn: f"{arn}:*") for group in self.logs.values()]
        policy = aws.iam.RolePolicy(
            named("function"),
            role=role.id,
            policy=document(
                [
                    # No CreateLogGroup: a late log line would recreate the group after a destroy.
                    statement("WriteLogs", ["logs:CreateLogStream", "logs:PutLogEvents"], log_streams),
                    # Lambda's managed policy for VPCs has it since January 2024; EC2 knows no resource for it.
                    statement("SeeSubnets", ["ec2:DescribeSubnets"], "*"),
                    # X-Ray knows no resources to name.
                    statement("SendTraces", ["xray:PutTraceSegments", "xray:PutTelemetryRecords"], "*"),
                ]
            ),
            opts=here,
        )
        interfaces = aws.iam.RolePolicyAttachment(
            named("interfaces"), role=role.name, policy_arn=INTERFACES_POLICY, opts=here
        )
        # Destroy runs in reverse: the role can still remove the network interfaces while the functions are deleted.
        after = pulumi.ResourceOptions(parent=self, depends_on=[policy, interfaces])
        archive = function_archive()

        def function(part: str, description: str, handler: str, timeout_s: int) -> aws.lambda_.Function:
            return aws.lambda_.Function(
                named(part),
                description=description,
                runtime=RUNTIME,
                architectures=["x86_64"],
                handler=handler,
                code=archive,
                role=role.arn,
                memory_size=args.memory_mb,
                timeout=timeout_s,
                vpc_config={"subnet_ids": args.subnet_ids, "security_group_ids": [args.security_group_id]},
                environment={"variables": dict(args.environment)},
                tracing_config={"mode": "Active"},
                logging_config={"log_format": "Text", "log_group": self.logs[part].name},
                opts=after,
            )

        self.session = function("session", "Writes and reads one session", SESSION_HANDLER, args.timeout_s)
        self.audit = function("audit", "Reads sessions back and compares them", AUDIT_HANDLER, AUDIT_TIMEOUT_S)
        self.register_outputs({"session": self.session.name, "audit": self.audit.name})
