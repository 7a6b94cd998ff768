"""The network: a VPC in two zones. Nothing in it accepts connections from the internet."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.naming import COMPONENT, named

# Lambda releases its network interfaces up to 45 minutes after its functions are deleted; only then can their subnets
# and security group be deleted.
DELETE_TIMEOUT = pulumi.CustomTimeouts(delete="60m")


# Zones that lack something the stack needs; by id, because names differ by account. use1-az3, us-east-1's oldest, has
# no Graviton nodes such as cache.r7g (users report it, https://wolfman.dev/posts/exclude-use1-az3; AWS's guides do not
# say). The others have no Fargate: Amazon ECS's guide, "Supported Regions for Amazon ECS on AWS Fargate" (November
# 2026), names the zones of us-west-1 and ap-northeast-1 that have it.
LACKING_ZONE_IDS = ("use1-az3", "usw1-az2", "apne1-az3")


@dataclass(frozen=True)
class NetworkArgs:
    """Two zones, or none to take the region's first two that lack nothing."""

    zones: tuple[str, ...]


class Network(pulumi.ComponentResource):
    """VPC, subnets and routes.

    - public: one subnet with the NAT gateway and nothing else
    - private: cache and load tasks; the tasks reach AWS's APIs through the NAT gateway, S3 through its endpoint
    - inner: balancer and function; no route out, because neither needs one
    """

    def __init__(self, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Network", named("network"), None, opts)
        here = pulumi.ResourceOptions(parent=self)
        vpc = aws.ec2.Vpc(
            named("vpc"),
            cidr_block="10.0.0.0/16",
            enable_dns_hostnames=True,
            enable_dns_support=True,
            opts=here,
        )
        self.vpc_id = vpc.id
        # Every part has its own group. The default group would let its members talk to each other, so it gets no rules.
        aws.ec2.DefaultSecurityGroup(named("default"), vpc_id=vpc.id, ingress=[], egress=[], opts=here)

        zones: list[pulumi.Input[str]] = list(args.zones) or _first_two_zones(self)
        public = self._subnet("public", vpc, "10.0.0.0/24", zones[0])
        # A cluster may have 500 nodes, and two /24 hold 502 addresses, load tasks included.
        private = [self._subnet(f"private-{i}", vpc, f"10.0.{16 + 4 * i}.0/22", zones[i]) for i in range(2)]
        inner = [self._subnet(f"inner-{i}", vpc, f"10.0.{1 + i}.0/24", zones[i]) for i in range(2)]
        self.private_subnet_ids = [subnet.id for subnet in private]
        self.inner_subnet_ids = [subnet.id for subnet in inner]

        gateway = aws.ec2.InternetGateway(named("igw"), vpc_id=vpc.id, opts=here)
        public_table, _ = self._table("public", vpc, [public])
        public_route = self._way_out("public", public_table, gateway_id=gateway.id)
        address = aws.ec2.Eip(
            named("nat"), domain="vpc", opts=pulumi.ResourceOptions(parent=self, depends_on=[gateway])
        )
        nat = aws.ec2.NatGateway(
            named("nat"),
            allocation_id=address.id,
            subnet_id=public.id,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[public_route]),
        )
        private_table, associations = self._table("private", vpc, private)
        nat_route = self._way_out("private", private_table, nat_gateway_id=nat.id)
        self._table("inner", vpc, inner)

        endpoint = aws.ec2.VpcEndpoint(
            named("s3"),
            vpc_id=vpc.id,
            vpc_endpoint_type="Gateway",
            service_name=aws.get_region_output(opts=pulumi.InvokeOutputOptions(parent=self)).region.apply(
                lambda region: f"com.amazonaws.{region}.s3"
            ),
            route_table_ids=[private_table.id],
            opts=here,
        )
        # What a task needs before it can pull its image or write a log line.
        self.way_out: list[pulumi.Resource] = [nat_route, endpoint, *associations]
        self.register_outputs({"vpcId": vpc.id})

    def _subnet(self, part: str, vpc: aws.ec2.Vpc, cidr: str, zone: pulumi.Input[str]) -> aws.ec2.Subnet:
        return aws.ec2.Subnet(
            named(part),
            vpc_id=vpc.id,
            cidr_block=cidr,
            availability_zone=zone,
            map_public_ip_on_launch=False,
            # A zone that AWS adds or renames later must not replace subnets and all that lives in them.
            opts=pulumi.ResourceOptions(
                parent=self, ignore_changes=["availability_zone"], custom_timeouts=DELETE_TIMEOUT
            ),
        )

    def _table(
        self, part: str, vpc: aws.ec2.Vpc, subnets: list[aws.ec2.Subnet]
    ) -> tuple[aws.ec2.RouteTable, list[aws.ec2.RouteTableAssociation]]:
        """A route table of these subnets; without a route it leads nowhere outside the VPC."""
        here = pulumi.ResourceOptions(parent=self)
        table = aws.ec2.RouteTable(named(part), vpc_id=vpc.id, opts=here)
        return table, [
            aws.ec2.RouteTableAssociation(named(f"{part}-{i}"), route_table_id=table.id, subnet_id=subnet.id, opts=here)
            for i, subnet in enumerate(subnets)
        ]

    def _way_out(self, part: str, table: aws.ec2.RouteTable, **through: pulumi.Input[str]) -> aws.ec2.Route:
        return aws.ec2.Route(
            named(f"{part}-out"),
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            opts=pulumi.ResourceOptions(parent=self),
            **through,
        )


def _first_two_zones(parent: pulumi.Resource) -> list[pulumi.Input[str]]:
    zones = aws.get_availability_zones_output(
        state="available",
        exclude_zone_ids=LACKING_ZONE_IDS,
        filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
        opts=pulumi.InvokeOutputOptions(parent=parent),
    ).names.apply(two_of)
    return [zones[0], zones[1]]


def two_of(names: Sequence[str]) -> list[str]:
    """The first two zones; with fewer, an error that says what to do."""
    if len(names) < 2:
        raise pulumi.RunError(
            f"availabilityZones: the region has {len(names)} zone(s) that have Fargate and Graviton, two are needed; "
            'use another region, or name two with `pulumi config set --path "availabilityZones[0]" ZONE`'
        )
    return list(names[:2])
