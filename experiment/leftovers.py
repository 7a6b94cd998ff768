"""What a destroyed stack left behind, found by its tags: listed, never touched."""

from dataclasses import dataclass

from experiment.cloud import Cloud
from experiment.errors import asking

_TRIES = 4
_EVERY_S = 20.0


@dataclass(frozen=True)
class Leftover:
    """One resource that still bears the stack's tags."""

    arn: str
    why: str


def find(cloud: Cloud, project: str, stack: str, *, keeps_results: bool) -> list[Leftover]:
    """What AWS still lists. It lists some resources for minutes after they are gone, so it is asked several times."""
    found: list[Leftover] = []
    for attempt in range(_TRIES):
        if attempt:
            cloud.sleep(_EVERY_S)
        found = [Leftover(arn, _why(arn, keeps_results)) for arn in _tagged(cloud, project, stack)]
        if all(_is_kept(leftover.arn, keeps_results) for leftover in found):
            break
    return found


def _tagged(cloud: Cloud, project: str, stack: str) -> list[str]:
    with asking("destroy", f"resources tagged Stack={stack}", "tag:GetResources"):
        pages = cloud.tagging.get_paginator("get_resources").paginate(
            TagFilters=[{"Key": "Project", "Values": [project]}, {"Key": "Stack", "Values": [stack]}]
        )
        return sorted(found.get("ResourceARN", "") for page in pages for found in page["ResourceTagMappingList"])


def _is_kept(arn: str, keeps_results: bool) -> bool:
    return keeps_results and arn.startswith("arn:aws") and ":s3:::" in arn


def _why(arn: str, keeps_results: bool) -> str:
    if _is_kept(arn, keeps_results):
        return "the run folders: kept because keepResults is true; `aws s3 rb --force` removes it"
    if ":network-interface/" in arn:
        return "AWS removes a function's network interfaces up to 45 min after the function; look again later"
    if ":task-definition/" in arn:
        return "an inactive revision costs nothing; AWS lists it for a while"
    return "not expected; AWS may list it for some minutes after it is gone, so look again before you remove it"
