"""What a destroyed stack left: what lives is told, what AWS merely still lists is not."""

from collections.abc import Callable
from typing import Any

import pytest
from botocore import xform_name

from experiment.aws import leftovers
from experiment.aws.alive import GONE, QUERIES, Alive
from experiment.aws.cloud import Cloud
from experiment.errors import ExpiredError
from tests.experiment.conftest import BUCKET, SleepingClock, in_turn, refuse, scripted

CloudOf = Callable[..., Cloud]
HERE = "eu-west-1:123456789012"
NAT = f"arn:aws:ec2:{HERE}:natgateway/nat-1"
DEFINITION = f"arn:aws:ecs:{HERE}:task-definition/dev-worker:3"
BALANCER = f"arn:aws:elasticloadbalancing:{HERE}:loadbalancer/app/dev/0123"
LOGS = f"arn:aws:logs:{HERE}:log-group:/dev/session"
USER = f"arn:aws:elasticache:{HERE}:user:dev-user"
SERVICE = f"arn:aws:ecs:{HERE}:service/dev-load/dev-master"
ADDRESS = f"arn:aws:ec2:{HERE}:elastic-ip/eipalloc-1"


def definition(status: str) -> dict[str, Any]:
    """DescribeTaskDefinition."""
    return {"taskDefinition": {"taskDefinitionArn": DEFINITION, "status": status}}


@pytest.mark.parametrize(
    ("arn", "service", "call", "answer", "expected"),
    [
        (NAT, "ec2", "describe_nat_gateways", {"NatGateways": [{"State": "deleted"}]}, GONE),
        (NAT, "ec2", "describe_nat_gateways", {"NatGateways": []}, GONE),
        (NAT, "ec2", "describe_nat_gateways", {"NatGateways": [{"State": "deleting"}]}, "it lives (deleting)"),
        (ADDRESS, "ec2", "describe_addresses", {"Addresses": []}, GONE),
        (ADDRESS, "ec2", "describe_addresses", {"Addresses": [{"AllocationId": "eipalloc-1"}]}, "it lives"),
        (DEFINITION, "ecs", "describe_task_definition", definition("INACTIVE"), GONE),
        (DEFINITION, "ecs", "describe_task_definition", definition("ACTIVE"), "it lives (ACTIVE)"),
        (DEFINITION, "ecs", "describe_task_definition", refuse("ClientException"), GONE),
        (SERVICE, "ecs", "describe_services", {"services": [{"status": "INACTIVE"}], "failures": []}, GONE),
        (SERVICE, "ecs", "describe_services", {"services": [{"status": "DRAINING"}]}, "it lives (DRAINING)"),
        (SERVICE, "ecs", "describe_services", refuse("ClusterNotFoundException"), GONE),
        (BALANCER, "elbv2", "describe_load_balancers", refuse("LoadBalancerNotFound"), GONE),
        (BALANCER, "elbv2", "describe_load_balancers", {"LoadBalancers": [{}]}, "it lives"),
        (USER, "elasticache", "describe_users", refuse("UserNotFound"), GONE),
        (LOGS, "logs", "describe_log_groups", {"logGroups": [{"logGroupName": "/dev/session-2"}]}, GONE),
        (LOGS, "logs", "describe_log_groups", {"logGroups": [{"logGroupName": "/dev/session"}]}, "it lives"),
        (USER, "elasticache", "describe_users", refuse("AccessDenied", "not yours"), "AWS still lists it, not checked"),
        (f"arn:aws:kafka:{HERE}:cluster/c", "ec2", "describe_vpcs", {}, "AWS still lists it, not checked"),
    ],
)
def test_each_service_says_whether_a_thing_lives(
    arn: str, service: str, call: str, answer: Any, *, expected: str, cloud_of: CloudOf
) -> None:
    """The tagging API lists what was tagged once; a type that nobody asks about is not called left or gone."""
    state = Alive(cloud_of(**{service: scripted(service, **{call: in_turn(answer)})})).state(arn)
    assert state.startswith(expected) if "not checked" in expected else state == expected


@pytest.mark.parametrize(("service", "kind"), QUERIES)
def test_every_question_is_one_that_the_service_takes(service: str, kind: str, cloud_of: CloudOf) -> None:
    """A misspelt call or parameter would come up after an hour on AWS; botocore's model knows it now."""
    client = {"elasticloadbalancing": "elbv2"}.get(service, service)
    query = QUERIES[service, kind]
    call = query.call or xform_name(query.action.partition(":")[2])
    ours = scripted(client, **{call: in_turn(refuse("SomethingNotFoundException"))})
    separator = ":" if service in ("elasticache", "lambda", "logs") else "/"
    name = f"{kind}{separator}x/abcdef" if service == "ecs" and kind != "cluster" else f"{kind}{separator}abcdef"
    arn = f"arn:aws:{service}:{HERE}:{name}" if kind else f"arn:aws:{service}:::abcdef"
    assert Alive(cloud_of(**{client: ours})).state(arn) == GONE
    output = ours.meta.service_model.operation_model(ours.calls[0][0]).output_shape
    if query.answer:
        shape = output.members[query.answer]
        entry = shape.member if shape.type_name == "list" else shape
        assert {query.state, query.named} - {""} <= set(entry.members)


def test_a_bucket_is_asked_for_by_its_name(s3: Any, cloud_of: CloudOf) -> None:
    """S3's ARNs hold neither a type nor an account."""
    alive = Alive(cloud_of(s3=s3))
    assert alive.state(f"arn:aws:s3:::{BUCKET}") == "it lives"
    assert alive.state("arn:aws:s3:::no-such-bucket-here") == GONE


def test_calls_are_bounded_and_what_is_gone_is_not_asked_for_again(cloud_of: CloudOf) -> None:
    """A cluster of 500 nodes must not make destroy ask for minutes."""
    client = scripted("ec2", describe_nat_gateways=in_turn({"NatGateways": []}))
    alive = Alive(cloud_of(ec2=client), most=2)
    arns = [f"{NAT}{number}" for number in range(4)]
    for _ in range(3):
        assert [alive.state(arn) == GONE for arn in arns] == [True, True, False, False]
    assert len(client.calls) == 2


def test_expired_credentials_are_not_taken_for_an_answer(cloud_of: CloudOf) -> None:
    """A destroy takes half an hour: they may end in it, and are waited for."""
    with pytest.raises(ExpiredError):
        Alive(cloud_of(ec2=scripted("ec2", describe_nat_gateways=in_turn(refuse("ExpiredToken"))))).state(NAT)


def account(tagged: list[str], interfaces: list[dict[str, Any]], *nat_states: str) -> dict[str, Any]:
    """An account after a destroy."""
    listed = {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in tagged]}
    return {
        "resourcegroupstaggingapi": scripted("resourcegroupstaggingapi", get_resources=in_turn(listed)),
        "ec2": scripted(
            "ec2",
            describe_nat_gateways=in_turn(*({"NatGateways": [{"State": state}]} for state in nat_states)),
            describe_network_interfaces=in_turn({"NetworkInterfaces": interfaces}),
        ),
        "ecs": scripted("ecs", describe_task_definition=in_turn(definition("INACTIVE"))),
    }


def test_what_is_only_listed_is_not_left(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """A deleted NAT gateway and an inactive task definition are nobody's bill."""
    cloud = cloud_of(**account([NAT, DEFINITION], [], "deleting", "deleted"))
    assert leftovers.find(cloud, "p", "dev", keeps_results=True, vpc_id="vpc-1") == []
    assert clock.slept == 20


def test_what_lives_is_left_after_some_tries(s3: Any, cloud_of: CloudOf, clock: SleepingClock) -> None:
    """It costs money for as long as nobody is told; the kept bucket is told beside it, and one that is gone is not."""
    buckets = [f"arn:aws:s3:::{BUCKET}", "arn:aws:s3:::another-of-before"]
    cloud = cloud_of(**account([NAT, *buckets], [], "available"), s3=s3)
    left = leftovers.find(cloud, "p", "dev", keeps_results=True)
    assert [(one.name, one.why.partition(":")[0]) for one in left] == [
        (NAT, "it lives (available)"),
        (buckets[0], "the run folders"),
    ]
    assert clock.slept == 60


def test_network_interfaces_are_found_in_the_vpc(cloud_of: CloudOf) -> None:
    """Those of functions carry no tag; one that does is told once."""
    mine = {
        "NetworkInterfaceId": "eni-1", "Description": "AWS Lambda VPC ENI-dev", "Status": "available",
        "InterfaceType": "lambda",
    }  # fmt: skip
    other = {"NetworkInterfaceId": "eni-2", "Description": "by hand", "Status": "in-use", "InterfaceType": "interface"}
    tagged = [f"arn:aws:ec2:{HERE}:network-interface/eni-2"]
    clients = account(tagged, [mine, other], "deleted")
    clients["ec2"] = scripted("ec2", describe_network_interfaces=in_turn({"NetworkInterfaces": [mine, other]}))
    left = leftovers.find(cloud_of(**clients), "p", "dev", keeps_results=True, vpc_id="vpc-1")
    assert [one.name for one in left] == ["eni-1", "eni-2"]
    assert "45 min" in left[0].why
    assert left[1].why == "by hand (in-use)"
