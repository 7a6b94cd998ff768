"""Who may open connections to whom, on which port: the tables ALLOWED and MAY_CALL_AWS, turned into security groups."""

from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_aws as aws

from infra.naming import COMPONENT, TAG_LIMIT, named
from infra.network import DELETE_TIMEOUT

HTTP = 80
HTTPS = 443
CACHE_PORT = 6379
LOCUST_PORT = 5557

# EC2 takes letters, digits, spaces and ._-:/()#,@[]+=&;{}!$* in the descriptions made of these, and no apostrophe.
GROUPS = {
    "cache": "the nodes of the cluster",
    "function": "the functions that write and read",
    "balancer": "the internal load balancer",
    "master": "the Locust master",
    "worker": "the Locust workers",
}

# From, to, port. A group missing from the first column opens no connection; one missing from the second accepts none.
# The balancer calls the function through Lambda's API, not through the network. The web UI (8089) listens on the
# master's loopback only, where the SSM agent inside the task reaches it.
ALLOWED = (
    ("function", "cache", CACHE_PORT),
    ("worker", "balancer", HTTP),
    ("worker", "master", LOCUST_PORT),
)
# Tasks pull images and send logs, results and metrics to AWS's APIs, whose addresses are not published per service.
MAY_CALL_AWS = ("master", "worker")


@dataclass(frozen=True)
class FirewallArgs:
    """The network that the groups belong to."""

    vpc_id: pulumi.Input[str]


class Firewall(pulumi.ComponentResource):
    """A security group per part and a pair of rules per line of ALLOWED.

    Rules are separate resources: groups that name each other inline can be neither created nor destroyed.
    """

    def __init__(self, args: FirewallArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Firewall", named("firewall"), None, opts)
        self.groups = {
            part: aws.ec2.SecurityGroup(
                named(part),
                description=f"For {members}",
                vpc_id=args.vpc_id,
                opts=pulumi.ResourceOptions(parent=self, custom_timeouts=DELETE_TIMEOUT),
            )
            for part, members in GROUPS.items()
        }
        # By the part that opens the connection: its tasks depend on these rules.
        self.rules: dict[str, list[pulumi.Resource]] = {part: [] for part in GROUPS}
        for source, target, port in ALLOWED:
            to = aws.vpc.SecurityGroupEgressRule(
                named(f"{source}-to-{target}", limit=TAG_LIMIT),
                referenced_security_group_id=self.groups[target].id,
                description=f"To {GROUPS[target]}",
                **self._tcp(source, port),
            )
            of = aws.vpc.SecurityGroupIngressRule(
                named(f"{target}-of-{source}", limit=TAG_LIMIT),
                referenced_security_group_id=self.groups[source].id,
                description=f"From {GROUPS[source]}",
                **self._tcp(target, port),
            )
            self.rules[source] += [to, of]
        for source in MAY_CALL_AWS:
            out = aws.vpc.SecurityGroupEgressRule(
                named(f"{source}-to-aws", limit=TAG_LIMIT),
                cidr_ipv4="0.0.0.0/0",
                description="To the APIs of AWS through the NAT gateway",
                **self._tcp(source, HTTPS),
            )
            self.rules[source].append(out)
        self.register_outputs({})

    def _tcp(self, part: str, port: int) -> dict[str, Any]:
        """What every rule of a part's group has."""
        group, here = self.groups[part], pulumi.ResourceOptions(parent=self)
        return {"security_group_id": group.id, "ip_protocol": "tcp", "from_port": port, "to_port": port, "opts": here}

    def group_id(self, part: str) -> pulumi.Output[str]:
        """The id of a part's security group."""
        return self.groups[part].id
