"""ElastiCache: what the provider sends to create the cluster and its users, and to move slots."""

from typing import Any

from tests.aws.inputs import Inputs, pairs
from tests.aws.provider.call import Call, Creation, Own


def _call(operation: str, **parameters: Any) -> Call:
    return Call("elasticache", operation, parameters)


def _parameter_group(inputs: Inputs, own: Own) -> list[Call]:
    create = inputs.always(
        {"family": "CacheParameterGroupFamily", "description": "Description"}, description="Managed by Terraform"
    )
    calls = [
        _call("CreateCacheParameterGroup", CacheParameterGroupName=own.name, Tags=pairs(inputs.words("tags")), **create)
    ]
    if parameters := inputs.blocks("parameters"):
        values = [parameter.always({"name": "ParameterName", "value": "ParameterValue"}) for parameter in parameters]
        calls.append(_call("ModifyCacheParameterGroup", CacheParameterGroupName=own.name, ParameterNameValues=values))
    return calls


def _subnet_group(inputs: Inputs, own: Own) -> list[Call]:
    create = inputs.always(
        {"description": "CacheSubnetGroupDescription", "subnetIds": "SubnetIds"}, description="Managed by Terraform"
    )
    tags = pairs(inputs.words("tags"))
    return [_call("CreateCacheSubnetGroup", CacheSubnetGroupName=own.name, Tags=tags, **create)]


def _user(inputs: Inputs, _: Own) -> list[Call]:
    create = inputs.always(
        {
            "accessString": "AccessString",
            "engine": "Engine",
            "noPasswordRequired": "NoPasswordRequired",
            "userId": "UserId",
            "userName": "UserName",
        },
        noPasswordRequired=False,
    )
    create |= inputs.if_set({"passwords": "Passwords"})
    return [_call("CreateUser", Tags=pairs(inputs.words("tags")), **create)]


def _user_group(inputs: Inputs, _: Own) -> list[Call]:
    create = inputs.always({"engine": "Engine", "userGroupId": "UserGroupId"}) | inputs.if_set({"userIds": "UserIds"})
    return [_call("CreateUserGroup", Tags=pairs(inputs.words("tags")), **create)]


def _replication_group(inputs: Inputs, own: Own) -> list[Call]:
    """`apply_immediately` is a word for later changes; a retention of 0 days is the same as none and is not sent."""
    inputs.unsent("applyImmediately")
    create = inputs.always(
        {
            "automaticFailoverEnabled": "AutomaticFailoverEnabled",
            "nodeType": "CacheNodeType",
            "transitEncryptionEnabled": "TransitEncryptionEnabled",
            "engine": "Engine",
        },
        automaticFailoverEnabled=False,
        transitEncryptionEnabled=False,
        engine="redis",
    )
    # Three booleans that are sent as they are declared, false included (nullable.Bool), and the raw number of replicas.
    for declared, sent in (
        ("atRestEncryptionEnabled", "AtRestEncryptionEnabled"),
        ("autoMinorVersionUpgrade", "AutoMinorVersionUpgrade"),
        ("replicasPerNodeGroup", "ReplicasPerNodeGroup"),
    ):
        if declared in inputs:
            create[sent] = inputs(declared)
    create |= inputs.if_set(
        {
            "clusterMode": "ClusterMode",
            "description": "ReplicationGroupDescription",
            "engineVersion": "EngineVersion",
            "multiAzEnabled": "MultiAZEnabled",
            "numNodeGroups": "NumNodeGroups",
            "parameterGroupName": "CacheParameterGroupName",
            "port": "Port",
            "subnetGroupName": "CacheSubnetGroupName",
            "securityGroupIds": "SecurityGroupIds",
            "snapshotRetentionLimit": "SnapshotRetentionLimit",
            "userGroupIds": "UserGroupIds",
        }
    )
    tags = pairs(inputs.words("tags"))
    return [_call("CreateReplicationGroup", ReplicationGroupId=own.name, Tags=tags, **create)]


def shard_count(name: str, shards: int) -> Call:
    """modifyReplicationGroupShardConfigurationNumNodeGroups, for more shards: AWS chooses which slots move."""
    change = {"ApplyImmediately": True, "NodeGroupCount": shards, "ReplicationGroupId": name}
    return _call("ModifyReplicationGroupShardConfiguration", **change)


CREATIONS = {
    "elasticache.ParameterGroup": Creation("elasticache/parameter_group.go@0593466d96e3", _parameter_group),
    "elasticache.SubnetGroup": Creation("elasticache/subnet_group.go@01c08000ddb1", _subnet_group),
    "elasticache.User": Creation("elasticache/user.go@01f431114674", _user),
    "elasticache.UserGroup": Creation("elasticache/user_group.go@06739b22cee5", _user_group),
    "elasticache.ReplicationGroup": Creation("elasticache/replication_group.go@001b6364c1a3", _replication_group),
}
