"""The reshard itself: what AWS really did, whatever the program that asked for it says of its own success."""

from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import ClientError

from experiment.cloud import Cloud
from experiment.errors import StepError, asking, code_of
from recorder.cachegroup import Group, layout_problems, read_group

POLL_S = 10.0
# AWS answers from several places, one of them sometimes behind: an end is believed when three answers agree.
AGREEING = 3
# ElastiCache takes up a change within seconds; a group that never leaves `available` in this time was never asked.
UNTOUCHED_S = 180.0


@dataclass(frozen=True)
class Outcome:
    """What became of a reshard."""

    group: Group
    problems: tuple[str, ...]
    """Why it is not what was asked for; empty when every slot has an owner among the right number of shards."""
    changed: bool
    """The group was seen to be modified, or it is as asked for."""


def describe(cloud: Cloud, group_id: str, step: str = "reshard") -> Group:
    """The replication group as it is now."""
    resource = f"replication group {group_id}"
    with asking(step, resource, "elasticache:DescribeReplicationGroups"):
        try:
            groups = [
                group
                for page in cloud.elasticache.get_paginator("describe_replication_groups").paginate(
                    ReplicationGroupId=group_id
                )
                for group in page["ReplicationGroups"]
            ]
        except ClientError as error:
            if code_of(error) != "ReplicationGroupNotFoundFault":
                raise
            groups = []
    if not groups:
        raise StepError(
            step, resource, f"AWS knows no such group in {cloud.region}", "see the region, or run `up` again"
        )
    return read_group(groups[0])


def wait_until_settled(
    cloud: Cloud,
    group_id: str,
    shards: int,
    *,
    seen: Callable[[Group], None] = lambda _group: None,
    ask: Callable[[Callable[[], Group]], Group] = lambda describe_it: describe_it(),
    limit_s: float = 2 * 3600.0,
) -> Outcome:
    """Wait until nothing is being changed any more, and say how the group then differs from `shards` whole shards.

    `ask` wraps every call (to wait for renewed credentials); `seen` is told every answer.
    """
    began = cloud.clock()
    agreeing = 0
    changed = False
    while True:
        group = ask(lambda: describe(cloud, group_id))
        seen(group)
        problems = layout_problems(group, shards)
        # A group that is as asked for needs no second opinion: no answer from the past can look like it.
        if group.available and not problems:
            return Outcome(group, (), changed=True)
        changed = changed or not group.available
        agreeing = agreeing + 1 if group.available else 0
        waited = cloud.clock() - began
        if agreeing >= AGREEING and (changed or waited >= UNTOUCHED_S):
            return Outcome(group, tuple(problems), changed)
        if waited > limit_s:
            raise StepError(
                "reshard",
                f"replication group {group_id}",
                f"still {group.status!r} after {waited / 60:.0f} min, with {len(group.shards)} shard(s)",
                "look at its events in the ElastiCache console; run the same command again to go on waiting",
            )
        cloud.sleep(POLL_S)
