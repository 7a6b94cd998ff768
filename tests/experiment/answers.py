"""AWS's answers in their documented shapes, for tests; botocore's Stubber checks them."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

GROUP = "dev-cache-1a2b3c4"


def group(
    *slots: str,
    status: str = "available",
    percent: float | None = None,
    replicas: int = 1,
    group_id: str = GROUP,
) -> dict[str, Any]:
    """DescribeReplicationGroups' answer for a group with one shard per text of slots ("" for one that owns none)."""
    shards: list[dict[str, Any]] = [
        {
            "NodeGroupId": f"{number:04d}",
            "Status": "available" if owned else "creating",
            **({"Slots": owned} if owned else {}),
            "NodeGroupMembers": [
                {
                    "CacheClusterId": f"{group_id}-{number:04d}-{member:03d}",
                    "CacheNodeId": "0001",
                    "PreferredAvailabilityZone": f"eu-west-1{'ab'[member % 2]}",
                }
                for member in range(1, replicas + 2)
            ],
        }
        for number, owned in enumerate(slots, start=1)
    ]
    members = [member["CacheClusterId"] for shard in shards for member in shard["NodeGroupMembers"]]
    pending = {} if percent is None else {"Resharding": {"SlotMigration": {"ProgressPercentage": percent}}}
    return {
        "ReplicationGroups": [
            {
                "ReplicationGroupId": group_id,
                "Description": "written and read by the function",
                "Status": status,
                "PendingModifiedValues": pending,
                "MemberClusters": members,
                "NodeGroups": shards,
                "AutomaticFailover": "enabled",
                "MultiAZ": "enabled",
                "ConfigurationEndpoint": {"Address": f"clustercfg.{group_id}.x.euw1.cache.amazonaws.com", "Port": 6379},
                "SnapshotRetentionLimit": 0,
                "SnapshotWindow": "03:00-04:00",
                "ClusterEnabled": True,
                "CacheNodeType": "cache.r7g.large",
                "AuthTokenEnabled": False,
                "TransitEncryptionEnabled": False,
                "AtRestEncryptionEnabled": True,
                "ARN": f"arn:aws:elasticache:eu-west-1:123456789012:replicationgroup:{group_id}",
                "LogDeliveryConfigurations": [],
                "ReplicationGroupCreateTime": datetime(2026, 11, 22, 15, 0, tzinfo=UTC),
                "AutoMinorVersionUpgrade": False,
                "Engine": "valkey",
            }
        ]
    }


ONE = ("0-16383",)
TWO = ("0-8191", "8192-16383")


def metric_page(
    values: Mapping[str, Sequence[tuple[datetime, float]]], *, next_token: str | None = None
) -> dict[str, Any]:
    """A page of GetMetricData: query id -> points."""
    results = [
        {
            "Id": name,
            "Label": name,
            "Timestamps": [moment for moment, _ in points],
            "Values": [value for _, value in points],
            "StatusCode": "Complete" if next_token is None else "PartialData",
        }
        for name, points in values.items()
    ]
    page: dict[str, Any] = {"MetricDataResults": results, "Messages": []}
    return page if next_token is None else {**page, "NextToken": next_token}
