"""The replication group that the experiment is about."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from infra.firewall import CACHE_PORT
from infra.naming import COMPONENT, named

# Exactly what the functions do: write and read sessions, ask for the layout, follow redirects; the audit lists slots.
ACCESS = (
    "on ~session_:* resetchannels -@all +@connection +@hash +cluster|slots +cluster|shards +cluster|countkeysinslot "
    "+cluster|getkeysinslot"
)
NO_ACCESS = "off -@all"


@dataclass(frozen=True)
class CacheArgs:
    """Where the cluster lives and how large it is."""

    subnet_ids: Sequence[pulumi.Input[str]]
    security_group_id: pulumi.Input[str]
    engine: str
    node_type: str
    shards: int
    replicas_per_shard: int
    transit_encryption: bool
    username: str
    password: str


def refuse_tls_flip(args: pulumi.ResourceHookArgs) -> None:
    """Refuses an update, and its preview, that would switch TLS on or off on a living cluster.

    AWS needs two steps for it, and the functions could not connect between them. AWS's own error names neither the
    setting nor a remedy.
    """
    before, after = ((inputs or {}).get("transitEncryptionEnabled") for inputs in (args.old_inputs, args.new_inputs))
    if bool(before) != bool(after):
        raise pulumi.RunError(
            f"transitEncryption: {str(bool(after)).lower()} is not allowed on a cluster that was made with "
            f"{str(bool(before)).lower()}; set it back, or use another stack, or `pulumi destroy` first"
        )


class Cache(pulumi.ComponentResource):
    """A cluster-mode replication group with its own subnet and parameter group, and a user if one is named.

    A changed `shards` is an update in place: AWS moves the slots while the cluster serves. Nothing may depend on
    `member_clusters`, the only output that a shard change makes unknown.
    """

    def __init__(self, args: CacheArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(COMPONENT + "Cache", named("cache"), None, opts)
        here = pulumi.ResourceOptions(parent=self)
        engine, version = args.engine.split()
        subnets = aws.elasticache.SubnetGroup(
            named("cache"), description="For the nodes of the cluster", subnet_ids=args.subnet_ids, opts=here
        )
        parameters = aws.elasticache.ParameterGroup(
            named("cache"),
            description="Enables cluster mode, needed even with one shard",
            # One family for all minor versions: valkey7, valkey8, valkey9, redis7 (ElastiCache's guide, "Parameters").
            family=engine + version.split(".")[0],
            parameters=[{"name": "cluster-enabled", "value": "yes"}],
            opts=here,
        )
        hook = pulumi.ResourceHook("tls-stays", refuse_tls_flip, pulumi.ResourceHookOptions(on_dry_run=True))
        users = self._users(args, engine, parameters.name) if args.username else None
        self.group = aws.elasticache.ReplicationGroup(
            named("cache"),
            description="The cluster whose resharding is measured",
            engine=engine,
            engine_version=version,
            # A minor upgrade by AWS would read as a downgrade at the next `pulumi up`, and that is a replacement.
            auto_minor_version_upgrade=False,
            node_type=args.node_type,
            cluster_mode="enabled",
            num_node_groups=args.shards,
            replicas_per_node_group=args.replicas_per_shard,
            automatic_failover_enabled=True,
            multi_az_enabled=True,
            parameter_group_name=parameters.name,
            subnet_group_name=subnets.name,
            security_group_ids=[args.security_group_id],
            port=CACHE_PORT,
            at_rest_encryption_enabled=True,
            transit_encryption_enabled=args.transit_encryption,
            user_group_ids=[users.user_group_id] if users else None,
            # The data is made up, and audited right after the run: backups would only cost money.
            snapshot_retention_limit=0,
            # Otherwise a change waits for the maintenance window.
            apply_immediately=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Moving half of the slots takes AWS minutes to hours; the provider would give up after 40 minutes.
                custom_timeouts=pulumi.CustomTimeouts(create="90m", update="2h", delete="90m"),
                hooks=pulumi.ResourceHookBinding(before_update=[hook]),
            ),
        )
        self.id = self.group.id
        self.host = self.group.configuration_endpoint_address
        self.register_outputs({"host": self.host})

    def _users(self, args: CacheArgs, engine: str, unique: pulumi.Output[str]) -> aws.elasticache.UserGroup:
        """The named user, and a disabled "default" user, so that nobody connects without a password.

        User ids must be unique in the account, so they reuse the parameter group's name with its random suffix.
        """
        # The provider reads the access string back and compares it as text (no DiffSuppressFunc in its
        # internal/service/elasticache/user.go), but AWS may return its words in another order. Without ignore_changes,
        # every `up` could call ModifyUser, even during a reshard. A changed access string needs a new stack.
        here = pulumi.ResourceOptions(parent=self, ignore_changes=["access_string"])
        nobody = aws.elasticache.User(
            named("nobody"),
            user_id=unique.apply(lambda name: f"{name}-nobody"),
            user_name="default",
            engine=engine,
            access_string=NO_ACCESS,
            # Valkey's user groups take no user without a password, not even one that is off.
            passwords=[pulumi.Output.secret(args.password)],
            opts=here,
        )
        user = aws.elasticache.User(
            named("user"),
            user_id=unique.apply(lambda name: f"{name}-user"),
            user_name=args.username,
            engine=engine,
            access_string=ACCESS,
            passwords=[pulumi.Output.secret(args.password)],
            opts=here,
        )
        return aws.elasticache.UserGroup(
            named("users"),
            user_group_id=unique.apply(lambda name: f"{name}-users"),
            engine=engine,
            user_ids=[nobody.user_id, user.user_id],
            opts=pulumi.ResourceOptions(parent=self),
        )
