"""Fills the sham's cluster before the load, so that its slots move with as many keys as the application's."""

from redis.crc import key_slot

from function import session
from rehearsal.cluster import Cluster

_BATCH = 1000


def fill(cluster: Cluster, count: int) -> None:
    """Write `count` sessions directly into a cluster, each to its slot's owner; the audit does not ask for them."""
    owners = cluster.owners()
    primaries = {shard.number: shard.primary for shard in cluster.shards}
    for written in range(0, count, _BATCH):
        pipes = {number: node.admin.pipeline(transaction=False) for number, node in primaries.items()}
        for _ in range(min(_BATCH, count - written)):
            drawn = session.new_id()
            key, fields = session.key(drawn), session.fields(drawn)
            pipes[owners[key_slot(key.encode())]].execute_command("HSET", key, *session.flat(fields))
        for pipe in pipes.values():
            pipe.execute()
