"""What AWS says in prose only of networks, security groups and load balancers; prose.py says how to read a line."""

from tests.aws.fits import (
    cidr,
    forwards,
    gateway_endpoint,
    health_check,
    idle_timeout,
    network,
    number,
    one_route_target,
    port_range,
    text,
)
from tests.aws.rule import Rule

_CREATE_GROUP = ("ec2:CreateSecurityGroup",)
_ALLOW = ("ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress")
_BALANCER = ("elbv2:CreateLoadBalancer",)
_TARGET = ("elbv2:CreateTargetGroup",)
_LISTENER = ("elbv2:CreateListener",)

_DESCRIPTION = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{0,255}"
_DESCRIBED = "at most 255 of a-z A-Z 0-9, space and ._-:/()#,@[]+=&;{}!$*"

NETWORK_RULES = (
    Rule(_CREATE_GROUP, "Description", text(_DESCRIPTION), _DESCRIBED, "model", "AWS's own"),
    Rule(_CREATE_GROUP, "GroupName", text(rf"(?!sg-){_DESCRIPTION}"), f"{_DESCRIBED}; not sg-", "model", "sg-a"),
    Rule(
        _ALLOW,
        "IpPermissions[].UserIdGroupPairs[].Description",
        # The model leaves the ampersand out of this one alone.
        text(_DESCRIPTION.replace("&", "")),
        _DESCRIBED.replace("&", ""),
        "model",
        "From AWS's APIs",
    ),
    Rule(_ALLOW, "IpPermissions[].IpRanges[].Description", text(_DESCRIPTION), _DESCRIBED, "model", "a" * 256),
    Rule(_ALLOW, "IpPermissions[].IpRanges[].CidrIp", cidr, "a network", "model", "10.0.0.1/8"),
    *(
        Rule(_ALLOW, f"IpPermissions[].{port}", number(-1, 65535), "a port", "provider's validator", 65536)
        for port in ("FromPort", "ToPort")
    ),
    Rule(("ec2:CreateVpc",), "CidrBlock", network, "a network from /16 to /28", "VPC guide", "10.0.0.0/8"),
    Rule(("ec2:CreateSubnet",), "CidrBlock", network, "a network from /16 to /28", "model", "10.0.0.0/29"),
    Rule(("ec2:CreateRoute",), "DestinationCidrBlock", cidr, "a network", "model", "10.0.0.1/8"),
    Rule(
        _BALANCER,
        "Name",
        text(r"(?!internal-)(?!-)[A-Za-z0-9-]{1,32}(?<!-)"),
        'at most 32 letters, digits, hyphens; no hyphen at either end; not "internal-"',
        "model",
        "internal-alb",
    ),
    Rule(_BALANCER, "Subnets", lambda value: len(value) >= 2, "two zones' subnets", "model", ["subnet-0"]),
    Rule(
        _TARGET,
        "Name",
        text(r"(?!-)[A-Za-z0-9-]{1,32}(?<!-)"),
        "at most 32 letters, digits, hyphens; no hyphen at either end",
        "model",
        "-session",
    ),
    Rule(
        _TARGET,
        "",
        health_check,
        "the health check's interval is above its timeout",
        "hashicorp/terraform-provider-aws, issue 48070; defaults: model",
        {"TargetType": "lambda", "HealthCheckIntervalSeconds": 30},
    ),
    Rule(
        ("elbv2:ModifyLoadBalancerAttributes",),
        "Attributes[]",
        idle_timeout,
        "an idle timeout from 1 to 4000 s",
        "model",
        {"Key": "idle_timeout.timeout_seconds", "Value": "4001"},
    ),
    Rule(
        _ALLOW,
        "IpPermissions[]",
        port_range,
        "a range of ports that does not end before it begins",
        "EC2 API reference, error code InvalidPermission.Malformed",
        {"IpProtocol": "tcp", "FromPort": 6380, "ToPort": 6379},
    ),
    Rule(
        ("ec2:CreateRoute",),
        "",
        one_route_target,
        "exactly one target",
        "model of CreateRoute",
        {"GatewayId": "igw-1", "NatGatewayId": "nat-1"},
    ),
    Rule(
        ("ec2:CreateVpcEndpoint",),
        "",
        gateway_endpoint,
        "a gateway endpoint of this region, for S3 or DynamoDB",
        "VPC guide, gateway endpoints",
        {"VpcEndpointType": "Gateway", "ServiceName": "com.amazonaws.eu-west-1.sqs"},
    ),
    Rule(_LISTENER, "Protocol", text("HTTPS?"), "HTTP or HTTPS for an application load balancer", "model", "TCP"),
    Rule(
        _LISTENER,
        "DefaultActions[]",
        forwards,
        "a target group to forward to",
        "model of Action",
        {"Type": "forward"},
    ),
)
