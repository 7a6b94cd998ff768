"""What moto, which answers as IAM and EC2 do, takes of the program: roles, their policies, and networks' addresses.

It reads a policy's grammar, not whether an action exists (test_policies.py asks that), and bucket policies not at all.
"""

import functools
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.iam.aws_managed_policies import aws_managed_policies_data

from tests.aws.arns import real
from tests.aws.configurations import CONFIGURATIONS
from tests.aws.plant import Plant
from tests.infra.program import REGION, SUFFIX, Declared, Program, declare

PLANTS = (
    Plant("ec2.Subnet", "inner-0", {"cidrBlock": "10.1.1.0/24"}, "InvalidSubnet.Range"),
    Plant("ec2.Subnet", "inner-1", {"cidrBlock": "10.0.1.128/25"}, "InvalidSubnet.Conflict"),
    Plant("ec2.Subnet", "public", {"cidrBlock": "10.0.0.0/33"}, "InvalidParameterValue"),
    Plant("ec2.Subnet", "private-1", {"vpcId": "vpc-1"}, "InvalidVpcID.NotFound"),
    Plant("ec2.Vpc", "vpc", {"cidrBlock": "10.0.0.0/8"}, "InvalidVpc.Range"),
    Plant("iam.Role", "master", {"assumeRolePolicy": lambda text: text.replace("Allow", "Alow")}, "MalformedPolicy"),
    Plant("iam.Role", "pull", {"assumeRolePolicy": lambda text: text.replace("}]", ', "Resource": "*"}]')}, "Resource"),
    Plant("iam.RolePolicy", "master", {"policy": lambda text: text.replace("s3:PutObject", "s3")}, "Malformed"),
    Plant("iam.RolePolicy", "pull", {"policy": lambda text: text.replace("2012-10-17", "2012-10-18")}, "Malformed"),
    Plant("iam.RolePolicy", "function", {"policy": lambda text: text.replace("arn:aws:", "aws:")}, "Malformed"),
    Plant("iam.RolePolicy", "function", {"role": "dev-another"}, "NoSuchEntity"),
    Plant("iam.RolePolicyAttachment", "interfaces", {"policyArn": lambda arn: arn + "s"}, "no managed policy"),
)


@functools.cache
def _managed() -> frozenset[str]:
    """The ARNs of AWS's own policies, which moto brings; to load them into each mocked IAM would take seconds."""
    policies: dict[str, dict[str, str]] = json.loads(aws_managed_policies_data)
    return frozenset(f"arn:aws:iam::aws:policy{policy['Path']}{name}" for name, policy in policies.items())


def refusals(program: Program) -> list[str]:
    """What IAM and EC2 would not take, each with the URN of the resource that it is about."""
    refused: list[str] = []

    def send(resource: Declared, request: Callable[..., Any], **parameters: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = request(**parameters)
        except ClientError as error:
            refused.append(f"{resource.urn}: {error}")
            return {}
        return answer

    with mock_aws():
        _put_roles(program, send)
        _put_networks(program, send)
    unknown = [
        attachment
        for attachment in program.of("iam.RolePolicyAttachment")
        if attachment.inputs["policyArn"] not in _managed()
    ]
    return refused + [
        f"{attachment.urn}: AWS has no managed policy {attachment.inputs['policyArn']}" for attachment in unknown
    ]


@functools.cache
def _client(service: str) -> Any:
    """Moto answers a client wherever it was made, and to make one takes longer than all that is asked of it."""
    return boto3.client(service, region_name=REGION, aws_access_key_id="a", aws_secret_access_key="b")  # type: ignore[call-overload] - the services have no stubs here


def _put_roles(program: Program, send: Callable[..., dict[str, Any]]) -> None:
    """Roles with their trust policies, which are read only when they are changed, and their own policies."""
    iam = _client("iam")
    for role in program.of("iam.Role"):
        name, trust = role.name + SUFFIX, role.inputs["assumeRolePolicy"]
        tags = [{"Key": key, "Value": value} for key, value in role.inputs["tags"].items()]
        send(
            role,
            iam.create_role,
            RoleName=name,
            AssumeRolePolicyDocument=trust,
            Description=role.inputs["description"],
            Tags=tags,
        )
        send(role, iam.update_assume_role_policy, RoleName=name, PolicyDocument=trust)
    for policy in program.of("iam.RolePolicy"):
        send(
            policy,
            iam.put_role_policy,
            RoleName=policy.inputs["role"],
            PolicyName=policy.name + SUFFIX,
            PolicyDocument=real(policy.inputs["policy"]),
        )


def _put_networks(program: Program, send: Callable[..., dict[str, Any]]) -> None:
    """VPCs and their subnets, in the order of their names, so that of two that overlap the same one is refused."""
    ec2 = _client("ec2")
    ids: dict[str, str] = {}
    for vpc in program.of("ec2.Vpc"):
        made = send(vpc, ec2.create_vpc, CidrBlock=vpc.inputs["cidrBlock"])
        ids[vpc.name + SUFFIX] = made.get("Vpc", {}).get("VpcId", "")
    for subnet in sorted(program.of("ec2.Subnet"), key=lambda resource: resource.name):
        send(
            subnet,
            ec2.create_subnet,
            VpcId=ids.get(subnet.inputs["vpcId"], subnet.inputs["vpcId"]),
            CidrBlock=subnet.inputs["cidrBlock"],
            AvailabilityZone=subnet.inputs["availabilityZone"],
        )


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_moto_takes_it(configuration: str) -> None:
    """Roles, policies and networks of every configuration are taken as IAM and EC2 would take them."""
    assert refusals(CONFIGURATIONS[configuration].declare()) == []


@pytest.mark.parametrize("plant", PLANTS, ids=str)
def test_a_mistake_is_told(plant: Plant) -> None:
    """Each planted mistake is refused with its resource's URN, so that a check that sees nothing cannot pass."""
    program = declare()
    trouble = plant.missed(program, refusals(plant.into(program)))
    assert not trouble, trouble
