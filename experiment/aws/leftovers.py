"""Finds what a destroyed stack left behind, by its tags and in its network; changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass

from experiment.aws.alive import GONE, Alive
from experiment.aws.asking import asking
from experiment.aws.cloud import Cloud
from experiment.aws.stack import Stack
from experiment.errors import StepError

_TRIES = 4
_EVERY_S = 20.0
_FUNCTIONS_OWN = "AWS removes a function's network interfaces up to 45 min after the function; look again later"


@dataclass(frozen=True)
class Leftover:
    """A resource that still exists, or that AWS lists and could not be checked."""

    name: str
    why: str


def destroy(stack: Stack, *, keep: bool) -> None:
    """Remove the stack, then say what still exists. `keep` is the present value of keepResults."""
    vpc_id = str(stack.engine.exports().get("vpcId", ""))
    _keep_or_not(stack, keep=keep)
    try:
        stack.engine.destroy()
    except StepError:
        _say(stack, interfaces(stack.cloud, vpc_id))  # the usual reason for a failed destroy
        raise
    stack.look_again()
    left = stack.patiently(lambda: find(stack.cloud, stack.project, stack.name, keeps_results=keep, vpc_id=vpc_id))
    _say(stack, left)
    if not left:
        stack.screen.say("nothing is left")


def _keep_or_not(stack: Stack, *, keep: bool) -> None:
    """Bring keepResults into Pulumi's state: `destroy` uses the value that the last `up` wrote there."""
    retained = stack.engine.retained("aws:s3/")
    if any(kept != keep for kept in retained.values()):
        stack.screen.say(
            f"keepResults is {str(keep).lower()} and was deployed as {str(not keep).lower()}: "
            "updating the bucket first, because destroy uses the deployed value"
        )
        stack.engine.up(only=sorted(retained))


def _say(stack: Stack, left: Sequence[Leftover]) -> None:
    for leftover in left:
        stack.screen.say(f"still there: {leftover.name}: {leftover.why}")


def find(cloud: Cloud, project: str, stack: str, *, keeps_results: bool, vpc_id: str = "") -> list[Leftover]:
    """What still exists. Deletions take a while, so it asks several times."""
    alive = Alive(cloud)
    left: list[Leftover] = []
    for attempt in range(_TRIES):
        if attempt:
            cloud.sleep(_EVERY_S)
        left = interfaces(cloud, vpc_id)
        kept: list[Leftover] = []
        for arn in _tagged(cloud, project, stack):
            state = alive.state(arn)
            if state == GONE or any(arn.endswith("/" + leftover.name) for leftover in left):
                continue
            if keeps_results and ":s3:::" in arn:
                why = "the run folders: kept because keepResults is true; `aws s3 rb --force` removes it"
                kept.append(Leftover(arn, why))
            else:
                left.append(Leftover(arn, state))
        if not left:
            return kept
        left += kept
    return left


def interfaces(cloud: Cloud, vpc_id: str) -> list[Leftover]:
    """The VPC's network interfaces: a function's have no tags, and block the deletion of subnets and groups."""
    if not vpc_id:
        return []
    with asking("destroy", f"network interfaces of {vpc_id}", "ec2:DescribeNetworkInterfaces"):
        pages = cloud.ec2.get_paginator("describe_network_interfaces").paginate(
            Filters=[{"Name": "vpc-id", "Values": [vpc_id]}]
        )
        listed = [interface for page in pages for interface in page["NetworkInterfaces"]]
    leftovers: list[Leftover] = []
    for interface in listed:
        description = interface.get("Description", "")
        is_lambda = interface.get("InterfaceType") == "lambda" or description.startswith("AWS Lambda VPC ENI")
        why = f"{description} ({interface.get('Status', 'unknown')})"
        leftovers.append(
            Leftover(interface.get("NetworkInterfaceId", ""), f"{why}: {_FUNCTIONS_OWN}" if is_lambda else why)
        )
    return leftovers


def _tagged(cloud: Cloud, project: str, stack: str) -> list[str]:
    with asking("destroy", f"resources tagged Stack={stack}", "tag:GetResources"):
        pages = cloud.tagging.get_paginator("get_resources").paginate(
            TagFilters=[{"Key": "Project", "Values": [project]}, {"Key": "Stack", "Values": [stack]}]
        )
        return sorted(resource.get("ResourceARN", "") for page in pages for resource in page["ResourceTagMappingList"])
