"""The reshard: judged by what AWS did, not by what Pulumi reports."""

from collections.abc import Callable
from dataclasses import dataclass

from botocore.exceptions import ClientError

from experiment.aws.asking import asking, code_of
from experiment.aws.cloud import Cloud
from experiment.aws.stack import Stack
from experiment.errors import StepError, UsageError
from experiment.place import Emit
from recorder.cachegroup import Group, layout_problems, read_group
from recorder.cachewatch import STALE_ANSWERS

POLL_S = 10.0
# ElastiCache starts a change within seconds; a group that stays `available` for so long was never asked.
UNTOUCHED_S = 180.0
LIMIT_S = 2 * 3600.0  # the time limit of the update in infra/cache.py


@dataclass(frozen=True)
class Settled:
    """The result of a reshard."""

    group: Group
    problems: tuple[str, ...]
    """How it differs from the request; empty when the requested number of shards owns every slot."""
    changed: bool
    """The group was seen being modified, or it is as requested."""


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
) -> Settled:
    """Wait until the group is no longer changing; says how it then differs from `shards` whole shards.

    `ask` wraps every call (to wait for renewed credentials); `seen` is called with every answer.
    """
    began = cloud.clock()
    agreeing = 0
    changed = False
    while True:
        group = ask(lambda: describe(cloud, group_id))
        seen(group)
        problems = layout_problems(group, shards)
        # No stale answer can look like the requested layout, so this needs no second answer.
        if group.available and not problems:
            return Settled(group, (), changed=True)
        changed = changed or not group.available
        agreeing = agreeing + 1 if group.available else 0
        waited = cloud.clock() - began
        if agreeing >= STALE_ANSWERS and (changed or waited >= UNTOUCHED_S):
            return Settled(group, tuple(problems), changed)
        if waited > LIMIT_S:
            raise StepError(
                "reshard",
                f"replication group {group_id}",
                f"still {group.status!r} after {waited / 60:.0f} min, with {len(group.shards)} shard(s)",
                "look at its events in the ElastiCache console; run the same command again to go on waiting",
            )
        cloud.sleep(POLL_S)


class Resharder:
    """Changes the number of shards of one stack's replication group."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._group_id = str(stack.exports("reshard")["cacheReplicationGroupId"])

    def shards_before(self, to: int) -> int | None:
        """How many shards own slots now; None when the group is already as requested.

        Raises:
            StepError: somebody else is changing it.
        """
        group = self._describe()
        if not group.available:
            problem = f"it is being changed ({group.status})"
            raise StepError("reshard", self._group_id, problem, "wait for it, then try again")
        if layout_problems(group, to):
            return group.owners
        self._reconcile(to)
        return None

    def change(self, to: int, emit: Emit) -> None:
        """Ask Pulumi for the change unless it is in progress, and wait until the group is as requested.

        Raises:
            StepError: AWS ended or rolled back the change, or was never asked.
        """
        stack, group = self._stack, self._describe()
        failure: StepError | None = None
        if group.available and layout_problems(group, to):
            failure = self._ask_pulumi(to, emit)
        elif not group.available:
            stack.screen.say("the change is in progress at AWS; waiting for its end")
        outcome = wait_until_settled(stack.cloud, self._group_id, to, seen=self._show, ask=stack.patiently)
        if outcome.problems:
            problems = "; ".join(outcome.problems)
            pulumi = f" Pulumi said: {failure.said}" if failure else ""
            rolled_back = " (AWS ended or rolled back the change)" if outcome.changed else " (AWS was never asked)"
            raise StepError(
                "reshard",
                f"replication group {self._group_id}",
                f"it is available, but {problems}{rolled_back}.{pulumi}",
                f"read its events in the ElastiCache console; `python -m experiment reshard --to {to}` tries again",
            )
        stack.screen.say(f"{self._group_id} has {to} shard(s); all 16,384 slots have an owner")
        if failure is not None or not group.available:
            self._reconcile(to)

    def _describe(self) -> Group:
        return self._stack.patiently(lambda: describe(self._stack.cloud, self._group_id))

    def _ask_pulumi(self, to: int, emit: Emit) -> StepError | None:
        """`config set shardCount` and `up`; returns Pulumi's failure, which does not decide the result."""
        try:
            self._stack.engine.set("shardCount", to)
            changed = self._stack.engine.up()
        except UsageError:
            raise
        except StepError as error:
            self._stack.screen.say(f"Pulumi ended early: {error.said}")
            return error
        emit("reshard.declared", changed=dict(changed))
        return None

    def _reconcile(self, to: int) -> None:
        """After Pulumi ended early: bring its state and the setting shardCount in line with AWS."""
        self._stack.engine.set("shardCount", to)
        self._stack.engine.refresh()
        self._stack.engine.up()

    def _show(self, group: Group) -> None:
        percent = "" if group.percent is None else f", {group.percent:.0f} % of the slots moved"
        self._stack.screen.progress(f"{group.status}, {len(group.shards)} shard(s){percent}")
