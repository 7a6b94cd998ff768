"""Fills the sham's cluster, so that its slots move with as many keys as the application's."""

from redis.crc import key_slot
from redis.exceptions import RedisError

from function import session
from rehearsal.cluster import SLOTS, Cluster, ClusterError

_BATCH = 500
_RANGES = 64


def fill(cluster: Cluster, count: int) -> None:
    """Write sessions directly into a cluster, each to its slot's owner, until it holds `count`.

    They are as the function writes them; the audit does not ask for them. Equal ranges of slots get equal shares, so
    that the slots that move hold as many as expected, and only the application's vary by chance.

    Raises:
        ClusterError: a node refused them.
    """
    try:
        _write(cluster, count - cluster.keys())
    except RedisError as error:
        raise ClusterError(f"the sham's cluster could not be filled to {count:,} keys: {error}") from error


def _write(cluster: Cluster, count: int) -> None:
    shares = [count * (place + 1) // _RANGES - count * place // _RANGES for place in range(_RANGES)]
    owners = cluster.owners()
    pipes = {shard.number: shard.primary.admin.pipeline(transaction=False) for shard in cluster.shards}
    written = 0
    while written < count:
        drawn = session.new_id()
        key = session.key(drawn)
        slot = key_slot(key.encode())
        place = slot * _RANGES // SLOTS
        if shares[place] <= 0:
            continue
        shares[place] -= 1
        written += 1
        pipe = pipes[owners[slot]]
        pipe.execute_command("HSET", key, *session.flat(session.fields(drawn)))
        if len(pipe) == _BATCH:
            pipe.execute()
    for pipe in pipes.values():
        pipe.execute()
