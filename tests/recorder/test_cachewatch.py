"""What the master records of a reshard and of the nodes, from answers in AWS's shapes."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from recorder import cachegroup
from recorder.cachewatch import CacheWatcher, ReshardTracker
from tests.experiment.answers import GROUP, ONE, TWO, group, metric_page

START = 1_763_823_600.0  # a whole minute
Named = tuple[str, dict[str, Any]]


def observed(*answers: dict[str, Any]) -> list[Named]:
    """Every event of a tracker that saw these answers."""
    tracker = ReshardTracker()
    return [
        event
        for answer in answers
        for event in tracker.observe(cachegroup.read_group(answer["ReplicationGroups"][0]), within_s=5)
    ]


def names(events: Sequence[Named]) -> list[str]:
    """Only what happened."""
    return [name for name, _ in events]


def test_a_reshard_from_one_to_two_shards_is_told_in_order() -> None:
    """Provisioning and slots moving are apart: the report must not count the one as the other."""
    events = observed(
        group(*ONE),
        group(*ONE, status="modifying", percent=0.0),
        group(*ONE, "", status="modifying", percent=0.0),
        group(*ONE, "", status="modifying", percent=25.0),
        group("4096-16383", "0-4095", status="modifying", percent=50.0),
        group(*TWO, status="modifying", percent=100.0),
        group(*TWO),
        group(*TWO),
    )
    assert names(events) == [
        "reshard.requested",
        "nodes.joined",
        "slots.started",
        "slots.progress",
        "slots.progress",
        "slots.progress",
        "slots.finished",
        "reshard.finished",
    ]
    told = dict(events)
    assert told["nodes.joined"]["nodes"] == ["0002-001", "0002-002"]
    assert told["slots.started"] == {"slots": 8192, "from": 1, "to": 2, "within_s": 5}
    assert [fields["moved"] for name, fields in events if name == "slots.progress"] == [2048, 4096, 8192]
    assert told["reshard.finished"] == {"from": 1, "to": 2, "within_s": 5}


def test_a_reshard_that_aws_rolled_back_is_a_failure() -> None:
    """AWS deletes the new shard and is available again: that is no finished reshard."""
    events = observed(
        group(*ONE),
        group(*ONE, "", status="modifying", percent=0.0),
        group(*ONE, status="modifying", percent=0.0),
        group(*ONE),
        group(*ONE),
        group(*ONE),
    )
    assert names(events) == ["reshard.requested", "nodes.joined", "reshard.failed"]
    assert "1 shard(s) and the same slots as before" in dict(events)["reshard.failed"]["error"]


def test_a_stale_answer_ends_nothing() -> None:
    """One answer from a place that is behind shows the group of before; the reshard goes on."""
    events = observed(
        group(*ONE),
        group(*ONE, "", status="modifying", percent=0.0),
        group(*ONE),
        group(*ONE, "", status="modifying", percent=40.0),
        group(*ONE),
        group(*TWO, status="modifying", percent=100.0),
        group(*TWO),
    )
    assert names(events).count("reshard.failed") == 0
    assert names(events)[-2:] == ["slots.finished", "reshard.finished"]


def test_slots_without_an_owner_at_the_end_are_a_failure() -> None:
    """`available` is not enough: all 16,384 slots must have an owner."""
    broken = group("0-8191", "8193-16383")
    events = observed(group(*ONE), group(*ONE, "", status="modifying", percent=10.0), broken, broken, broken)
    assert names(events)[-1] == "reshard.failed"
    assert "slots 8192-8192 belong to no shard" in dict(events)["reshard.failed"]["error"]


def test_removing_a_shard_is_told_as_well() -> None:
    """2 -> 1: the slots of the shard that goes are the ones that move."""
    events = observed(
        group(*TWO),
        group(*TWO, status="modifying", percent=0.0),
        group(*TWO, status="modifying", percent=60.0),
        group(*ONE, status="modifying"),
        group(*ONE),
    )
    assert names(events) == [
        "reshard.requested",
        "slots.started",
        "slots.progress",
        "slots.progress",
        "slots.finished",
        "reshard.finished",
    ]
    assert dict(events)["reshard.finished"] == {"from": 2, "to": 1, "within_s": 5}


def test_a_master_that_begins_in_the_middle_says_what_it_sees() -> None:
    """A reshard that was under way when the run began is recorded from there on."""
    events = observed(group(*ONE, "", status="modifying", percent=30.0), group(*TWO))
    assert names(events) == [
        "reshard.requested",
        "slots.started",
        "slots.progress",
        "slots.progress",
        "slots.finished",
        "reshard.finished",
    ]


def test_other_changes_are_no_reshard() -> None:
    """A parameter or a node type that changes makes the group `modifying` too."""
    assert observed(group(*ONE), group(*ONE, status="modifying"), group(*ONE)) == []


class StoppedClock:
    """A clock that only moves when it is told to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> float:
        """Unix seconds."""
        return self.now


class StubbedWatcher:
    """A watcher with stubbed clients, and what it recorded."""

    def __init__(self) -> None:
        session = boto3.Session("a", "b", region_name="eu-west-1")
        clients = (session.client("elasticache"), session.client("cloudwatch"))
        self.cache, self.metrics = Stubber(clients[0]), Stubber(clients[1])
        self.cache.activate()
        self.metrics.activate()
        self.events: list[Named] = []
        self.rows: list[dict[str, Any]] = []
        self.clock = StoppedClock()
        self.watcher = CacheWatcher(
            clients,
            GROUP,
            START,
            record=lambda name, fields: self.events.append((name, dict(fields))),
            write_rows=self.rows.extend,
            clock=self.clock,
        )


@pytest.fixture
def watched() -> Iterator[StubbedWatcher]:
    """A watcher whose every expected call must have been made in the end."""
    it = StubbedWatcher()
    yield it
    it.cache.assert_no_pending_responses()
    it.metrics.assert_no_pending_responses()


def test_node_metrics_become_rows_and_wait_for_late_values(watched: StubbedWatcher) -> None:
    """CloudWatch's minutes become the run folder's cumulative rows, none twice, none before its values are there."""

    def minute(number: int) -> datetime:
        return datetime.fromtimestamp(START + 60 * number, UTC)

    watched.cache.add_response("describe_replication_groups", group(*ONE, replicas=1), {"ReplicationGroupId": GROUP})
    watched.cache.add_response("describe_events", {"Events": []}, ANY_EVENTS)
    watched.clock.now = START + 200
    first_page = metric_page(
        {
            "m0_curritems": [(minute(0), 100.4), (minute(1), 200.0)],
            "m0_bytesusedforcache": [(minute(0), 1000.0), (minute(1), 2000.0)],
        },
        next_token="more",
    )
    second_page = metric_page(
        {
            "m0_enginecpuutilization": [(minute(0), 50.0)],
            "m0_gettypecmds": [(minute(0), 30.0)],
            "m0_settypecmds": [(minute(0), 20.0)],
            "m0_ismaster": [(minute(0), 1.0)],
        }
    )
    queries = {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": minute(2), "ScanBy": "TimestampAscending"}
    watched.metrics.add_response("get_metric_data", first_page, queries)
    watched.metrics.add_response("get_metric_data", second_page, {**queries, "NextToken": "more"})
    watched.watcher.poll()
    assert watched.rows == [
        {
            "t_s": 60.0, "node": "0001-001", "shard": 1, "group": "application", "commands": 50, "cpu_s": 30.0,
            "slots": 16384, "role": "primary", "keys": 100, "memory_bytes": 1000,
        }
    ]  # fmt: skip

    watched.clock.now = START + 261
    watched.cache.add_response("describe_replication_groups", group(*ONE), {"ReplicationGroupId": GROUP})
    watched.cache.add_response("describe_events", {"Events": []}, ANY_EVENTS)
    late = metric_page(
        {
            "m0_curritems": [(minute(0), 100.4), (minute(1), 200.0)],
            "m0_bytesusedforcache": [(minute(0), 1000.0), (minute(1), 2000.0)],
            "m0_enginecpuutilization": [(minute(0), 50.0), (minute(1), 10.0)],
            "m0_gettypecmds": [(minute(0), 30.0), (minute(1), 5.0)],
        }
    )
    watched.metrics.add_response("get_metric_data", late, {**queries, "EndTime": minute(3)})
    watched.watcher.poll()
    assert [(row["t_s"], row["commands"], row["cpu_s"]) for row in watched.rows] == [
        (60.0, 50, 30.0),
        (120.0, 55, 36.0),
    ]


ANY_EVENTS = {"SourceIdentifier": GROUP, "SourceType": "replication-group", "StartTime": ANY}


def test_what_aws_says_of_the_group_is_kept_word_for_word_and_once(watched: StubbedWatcher) -> None:
    """The messages of DescribeEvents are evidence, over as many pages as they come in."""

    def told(second: int, message: str) -> dict[str, Any]:
        moment = datetime.fromtimestamp(START + second, UTC)
        return {"SourceIdentifier": GROUP, "SourceType": "replication-group", "Message": message, "Date": moment}

    for turn in (0, 30):
        watched.clock.now = START + turn
        watched.cache.add_response("describe_replication_groups", group(*ONE), {"ReplicationGroupId": GROUP})
        page = {"Events": [told(3, "Replication group modification started")], "Marker": "next"}
        watched.cache.add_response("describe_events", page, ANY_EVENTS)
        watched.cache.add_response(
            "describe_events", {"Events": [told(9, "Node added")]}, {**ANY_EVENTS, "Marker": "next"}
        )
        watched.watcher.poll()
    assert watched.events == [
        ("cache.event", {"message": "Replication group modification started", "at_s": 3.0}),
        ("cache.event", {"message": "Node added", "at_s": 9.0}),
    ]


def test_a_refused_call_is_said_once_and_tried_again(watched: StubbedWatcher) -> None:
    """No permission, throttling: the run goes on, and its evidence says what is missing."""
    for second in (0, 5):
        watched.clock.now = START + second
        watched.cache.add_client_error(
            "describe_replication_groups", "AccessDenied", "not authorized to perform DescribeReplicationGroups", 403
        )
        if second == 0:
            watched.cache.add_response("describe_events", {"Events": []}, ANY_EVENTS)
        watched.watcher.poll()
    assert len(watched.watcher.problems) == 1
    assert "not authorized" in watched.watcher.problems[0]
    watched.clock.now = START + 10
    watched.cache.add_response("describe_replication_groups", group(*ONE), {"ReplicationGroupId": GROUP})
    watched.watcher.poll()
    assert not watched.watcher.resharding
