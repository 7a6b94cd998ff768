"""EC2: what the provider sends to create the network and its firewall."""

from typing import Any

from tests.aws.inputs import Inputs, pairs
from tests.aws.provider.call import TOKEN, Call, Creation, Own, UnmappedError


def _call(operation: str, **parameters: Any) -> Call:
    return Call("ec2", operation, parameters)


def _tagged(inputs: Inputs, kind: str) -> list[dict[str, Any]]:
    """getTagSpecificationsIn: the tags go with the request that creates."""
    return [{"ResourceType": kind, "Tags": pairs(inputs.words("tags"))}]


def _vpc(inputs: Inputs, own: Own) -> list[Call]:
    """An attribute is modified only where it differs from a new VPC's: no host names, name resolution, no metrics."""
    create = inputs.always(
        {"instanceTenancy": "InstanceTenancy", "assignGeneratedIpv6CidrBlock": "AmazonProvidedIpv6CidrBlock"},
        instanceTenancy="default",
        assignGeneratedIpv6CidrBlock=False,
    )
    create |= inputs.if_set({"cidrBlock": "CidrBlock"})
    calls = [_call("CreateVpc", TagSpecifications=_tagged(inputs, "vpc"), **create)]
    for attribute, sent, at_first in (
        ("enableDnsHostnames", "EnableDnsHostnames", False),
        ("enableDnsSupport", "EnableDnsSupport", True),
        ("enableNetworkAddressUsageMetrics", "EnableNetworkAddressUsageMetrics", False),
    ):
        value = inputs(attribute, at_first)
        if value != at_first:
            calls.append(_call("ModifyVpcAttribute", VpcId=own.id, **{sent: {"Value": value}}))
    return calls


def _subnet(inputs: Inputs, own: Own) -> list[Call]:
    create = inputs.always({"vpcId": "VpcId"}) | inputs.if_set(
        {"availabilityZone": "AvailabilityZone", "cidrBlock": "CidrBlock"}
    )
    calls = [_call("CreateSubnet", TagSpecifications=_tagged(inputs, "subnet"), **create)]
    if inputs("mapPublicIpOnLaunch", False):
        calls.append(_call("ModifySubnetAttribute", SubnetId=own.id, MapPublicIpOnLaunch={"Value": True}))
    return calls


def _internet_gateway(inputs: Inputs, own: Own) -> list[Call]:
    calls = [_call("CreateInternetGateway", TagSpecifications=_tagged(inputs, "internet-gateway"))]
    if vpc := inputs("vpcId"):
        calls.append(_call("AttachInternetGateway", InternetGatewayId=own.id, VpcId=vpc))
    return calls


def _eip(inputs: Inputs, _: Own) -> list[Call]:
    return [
        _call("AllocateAddress", TagSpecifications=_tagged(inputs, "elastic-ip"), **inputs.if_set({"domain": "Domain"}))
    ]


def _nat_gateway(inputs: Inputs, _: Own) -> list[Call]:
    create = inputs.always({"connectivityType": "ConnectivityType"}, connectivityType="public")
    create |= inputs.if_set({"allocationId": "AllocationId", "subnetId": "SubnetId"})
    return [
        _call("CreateNatGateway", ClientToken=TOKEN, TagSpecifications=_tagged(inputs, "natgateway"), **create),
    ]


def _route(inputs: Inputs, _: Own) -> list[Call]:
    create = inputs.always({"routeTableId": "RouteTableId"})
    create |= inputs.if_set(
        {"destinationCidrBlock": "DestinationCidrBlock", "gatewayId": "GatewayId", "natGatewayId": "NatGatewayId"}
    )
    return [_call("CreateRoute", **create)]


def _route_table(inputs: Inputs, _: Own) -> list[Call]:
    return [
        _call("CreateRouteTable", TagSpecifications=_tagged(inputs, "route-table"), **inputs.always({"vpcId": "VpcId"}))
    ]


def _route_table_association(inputs: Inputs, _: Own) -> list[Call]:
    create = inputs.always({"routeTableId": "RouteTableId"}) | inputs.if_set({"subnetId": "SubnetId"})
    return [_call("AssociateRouteTable", **create)]


def _everywhere(group: str, ranges: dict[str, Any]) -> Call:
    everything = {"FromPort": 0, "ToPort": 0, "IpProtocol": "-1", **ranges}
    return _call("RevokeSecurityGroupEgress", GroupId=group, IpPermissions=[everything])


def _security_group(inputs: Inputs, own: Own) -> list[Call]:
    """AWS gives each group a rule that lets everything out; the provider takes it away, for IPv4 and for IPv6."""
    create = inputs.always({"description": "Description"}, description="Managed by Terraform")
    create |= inputs.if_set({"vpcId": "VpcId"})
    return [
        _call("CreateSecurityGroup", GroupName=own.name, TagSpecifications=_tagged(inputs, "security-group"), **create),
        _everywhere(own.id, {"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}),
        _everywhere(own.id, {"Ipv6Ranges": [{"CidrIpv6": "::/0"}]}),
    ]


def _default_security_group(inputs: Inputs, own: Own) -> list[Call]:
    """The VPC's own group is not created: it is tagged, and every rule of it is revoked by its id."""
    if inputs.blocks("ingress") or inputs.blocks("egress"):
        raise UnmappedError("rules inside the default group")
    default_group = {
        "Filters": [{"Name": "group-name", "Values": ["default"]}, {"Name": "vpc-id", "Values": [inputs("vpcId")]}]
    }
    rule = {"GroupId": own.id, "SecurityGroupRuleIds": ["sgr-0123456789abcdef0"]}
    return [
        _call("DescribeSecurityGroups", **default_group),
        _call("CreateTags", Resources=[own.id], Tags=pairs(inputs.words("tags"))),
        _call("RevokeSecurityGroupIngress", **rule),
        _call("RevokeSecurityGroupEgress", **rule),
    ]


def _rule(direction: str, inputs: Inputs) -> list[Call]:
    """The description goes inside what the rule refers to.

    expandIPPermission is in the ingress rule's file at the commit below; that the tags go along is in the egress rule's
    file of 6.x, which the other shares.
    """
    described = inputs.if_set({"description": "Description"})
    permission = inputs.if_set({"ipProtocol": "IpProtocol"})
    permission |= {
        sent: inputs(name) for name, sent in (("fromPort", "FromPort"), ("toPort", "ToPort")) if name in inputs
    }
    if cidr := inputs("cidrIpv4"):
        permission["IpRanges"] = [{"CidrIp": cidr, **described}]
    if group := inputs("referencedSecurityGroupId"):
        permission["UserIdGroupPairs"] = [{"GroupId": group, **described}]
    create = {"IpPermissions": [permission], "TagSpecifications": _tagged(inputs, "security-group-rule")}
    return [_call(f"AuthorizeSecurityGroup{direction}", **inputs.always({"securityGroupId": "GroupId"}), **create)]


def _vpc_endpoint(inputs: Inputs, _: Own) -> list[Call]:
    create = inputs.always(
        {"privateDnsEnabled": "PrivateDnsEnabled", "vpcEndpointType": "VpcEndpointType", "vpcId": "VpcId"},
        privateDnsEnabled=False,
        vpcEndpointType="Gateway",
    )
    create |= inputs.if_set({"serviceName": "ServiceName", "routeTableIds": "RouteTableIds"})
    return [
        _call("CreateVpcEndpoint", ClientToken=TOKEN, TagSpecifications=_tagged(inputs, "vpc-endpoint"), **create),
    ]


CREATIONS = {
    "ec2.Vpc": Creation("ec2/vpc_.go@00081ce41cc6", _vpc),
    "ec2.Subnet": Creation("ec2/vpc_subnet.go@00cda125a19d", _subnet),
    "ec2.InternetGateway": Creation("ec2/vpc_internet_gateway.go@08923b68b5ad", _internet_gateway),
    "ec2.Eip": Creation("ec2/ec2_eip.go@01606926a0c0", _eip),
    "ec2.NatGateway": Creation("ec2/vpc_nat_gateway.go@04088eaa5494", _nat_gateway),
    "ec2.Route": Creation("ec2/vpc_route.go@0128541e0711", _route),
    "ec2.RouteTable": Creation("ec2/vpc_route_table.go@022092419b7c", _route_table),
    "ec2.RouteTableAssociation": Creation("ec2/vpc_route_table_association.go@0be71beb458a", _route_table_association),
    "ec2.SecurityGroup": Creation("ec2/vpc_security_group.go@01606926a0c0", _security_group),
    "ec2.DefaultSecurityGroup": Creation("ec2/vpc_default_security_group.go@01f431114674", _default_security_group),
    "ec2.VpcEndpoint": Creation("ec2/vpc_endpoint.go@008db85aad5e", _vpc_endpoint),
    "vpc.SecurityGroupEgressRule": Creation(
        "ec2/vpc_security_group_egress_rule.go, 6.x", lambda inputs, _: _rule("Egress", inputs)
    ),
    "vpc.SecurityGroupIngressRule": Creation(
        "ec2/vpc_security_group_ingress_rule.go@00a322094b4b, 6.x", lambda inputs, _: _rule("Ingress", inputs)
    ),
}
