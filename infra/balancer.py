"""The internal load balancer in front of the function."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.firewall import HTTP
from infra.naming import COMPONENT, named

# Longer than any functionTimeout: a function that times out gets a 502 instead of a closed connection.
IDLE_TIMEOUT_S = 60


@dataclass(frozen=True)
class BalancerArgs:
    """Where it listens and which function answers."""

    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    function: aws.lambda_.Function


class Balancer(pulumi.ComponentResource):
    """Listener on port 80 -> target group -> function."""

    def __init__(self, args: BalancerArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Balancer", named("balancer"), None, opts)
        here = pulumi.ResourceOptions(parent=self)
        self.balancer = aws.lb.LoadBalancer(
            named("alb"),
            internal=True,
            load_balancer_type="application",
            subnets=args.subnet_ids,
            security_groups=[args.security_group_id],
            idle_timeout=IDLE_TIMEOUT_S,
            drop_invalid_header_fields=True,
            opts=here,
        )
        # No health check: it would invoke the function and count as load. ELB makes none for a lambda target unless
        # asked. ELB refuses a block with enabled=False: the provider then sends an interval of 30 s, and ELB wants
        # it above its timeout for lambda targets, also 30 s.
        target = aws.lb.TargetGroup(named("session"), target_type="lambda", opts=here)
        permission = aws.lambda_.Permission(
            named("invoke"),
            function=args.function.name,
            action="lambda:InvokeFunction",
            principal="elasticloadbalancing.amazonaws.com",
            source_arn=target.arn,
            opts=here,
        )
        attachment = aws.lb.TargetGroupAttachment(
            named("session"),
            target_group_arn=target.arn,
            target_id=args.function.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[permission]),
        )
        self.listener = aws.lb.Listener(
            named("http"),
            load_balancer_arn=self.balancer.arn,
            port=HTTP,
            protocol="HTTP",
            default_actions=[{"type": "forward", "target_group_arn": target.arn}],
            opts=pulumi.ResourceOptions(parent=self, depends_on=[attachment]),
        )
        self.dns_name = self.balancer.dns_name
        self.register_outputs({"dnsName": self.dns_name})
