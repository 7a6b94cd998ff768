"""The reshard step believes the replication group, not the exit status of whoever asked for the change."""

from collections.abc import Callable
from typing import Any

import pytest

from experiment.aws import reshard
from experiment.aws.cloud import Cloud
from experiment.errors import ExpiredError, StepError
from tests.experiment.answers import GROUP, ONE, TWO, group
from tests.experiment.conftest import SleepingClock, in_turn, refuse, scripted

CloudOf = Callable[..., Cloud]
MOVING = group(*ONE, "", status="modifying", percent=20.0)


def settle(cloud: Cloud, shards: int = 2, **options: Any) -> reshard.Settled:
    """Wait for the group that all tests use."""
    return reshard.wait_until_settled(cloud, GROUP, shards, **options)


def test_a_reshard_is_over_when_all_slots_have_owners(cloud_of: CloudOf) -> None:
    """Not before: `available` and the number of shards and all 16,384 slots."""
    elasticache = scripted(
        "elasticache",
        describe_replication_groups=in_turn(
            group(*ONE), MOVING, group("0-8191", "8192-16000"), group(*TWO, status="modifying"), group(*TWO)
        ),
    )
    outcome = settle(cloud_of(elasticache=elasticache))
    assert outcome.problems == ()
    assert len(elasticache.calls) == 5


def test_a_rolled_back_reshard_is_found_out(cloud_of: CloudOf) -> None:
    """AWS deletes the new shard and the group is available as before: Pulumi may call that a success."""
    elasticache = scripted("elasticache", describe_replication_groups=in_turn(MOVING, group(*ONE)))
    outcome = settle(cloud_of(elasticache=elasticache))
    assert outcome.problems == ("it has 1 shard(s), not 2",)
    assert outcome.changed
    assert len(elasticache.calls) == 1 + reshard.STALE_ANSWERS


def test_one_stale_answer_is_no_end(cloud_of: CloudOf) -> None:
    """AWS's answers are only eventually consistent."""
    elasticache = scripted(
        "elasticache", describe_replication_groups=in_turn(MOVING, group(*ONE), MOVING, group(*ONE), group(*TWO))
    )
    assert settle(cloud_of(elasticache=elasticache)).problems == ()


def test_a_group_that_was_never_asked_is_told_apart(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """Pulumi failed before it asked AWS: nothing rolled back, and it takes minutes, not hours, to say so."""
    elasticache = scripted("elasticache", describe_replication_groups=in_turn(group(*ONE)))
    outcome = settle(cloud_of(elasticache=elasticache))
    assert not outcome.changed
    assert outcome.problems
    assert clock.slept < 2 * reshard.UNTOUCHED_S


def test_expired_credentials_are_waited_for(cloud_of: CloudOf) -> None:
    """A 40-minute reshard outlives a session's credentials: once renewed, the waiting goes on."""
    expired = refuse("ExpiredToken", "The security token included in the request is expired")
    elasticache = scripted(
        "elasticache", describe_replication_groups=in_turn(MOVING, expired, expired, MOVING, group(*TWO))
    )
    cloud = cloud_of(elasticache=elasticache)
    said: list[str] = []
    outcome = settle(cloud, ask=lambda ask: cloud.patiently(ask, said.append, 600))
    assert outcome.problems == ()
    assert len(said) == 1
    assert "Renew the credentials" in said[0]


def test_credentials_that_nobody_renews_end_the_wait_in_words(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """The error says what AWS said and that the same command goes on."""
    elasticache = scripted("elasticache", describe_replication_groups=in_turn(refuse("ExpiredToken")))
    cloud = cloud_of(elasticache=elasticache)
    with pytest.raises(ExpiredError, match="run the same command again"):
        settle(cloud, ask=lambda ask: cloud.patiently(ask, lambda _text: None, 600))
    assert 600 <= clock.slept <= 620


def test_a_group_that_is_gone_names_itself_and_the_region(cloud_of: CloudOf) -> None:
    """The wrong region looks like a deleted group."""
    elasticache = scripted(
        "elasticache", describe_replication_groups=in_turn(refuse("ReplicationGroupNotFoundFault", status=404))
    )
    with pytest.raises(StepError, match=f"{GROUP}: AWS knows no such group in eu-west-1"):
        reshard.describe(cloud_of(elasticache=elasticache), GROUP)


def test_a_missing_permission_is_named(cloud_of: CloudOf) -> None:
    """Who may not ask is told which action to allow."""
    elasticache = scripted("elasticache", describe_replication_groups=in_turn(refuse("AccessDenied", status=403)))
    with pytest.raises(StepError, match="allow elasticache:DescribeReplicationGroups"):
        reshard.describe(cloud_of(elasticache=elasticache), GROUP)


def test_a_reshard_that_never_ends_is_given_up(cloud_of: CloudOf, clock: SleepingClock) -> None:
    """Two hours, ElastiCache's own limit here; then a person must look."""
    elasticache = scripted("elasticache", describe_replication_groups=in_turn(MOVING))
    with pytest.raises(StepError, match="still 'modifying' after 120 min"):
        settle(cloud_of(elasticache=elasticache))
    assert clock.slept < 2.1 * 3600
