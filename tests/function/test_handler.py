"""One invocation against a real cluster: reply, log line, and how failures are told."""

import redis

from function import session
from function.environment import Cache
from rehearsal.cluster import Cluster as RealCluster
from tests.function.support import Function


def test_an_invocation_writes_reads_and_tells_the_times(function: Function, cluster: RealCluster) -> None:
    """Reply and log line are contracts: the generator and the dashboard read these names."""
    done = function.configure(Cache("127.0.0.1", cluster.primaries[0].port)).invoke()
    assert done.status == 200
    assert list(done.body) == ["session", "connection", "write", "read", "redirects", "retries"]
    assert done.body == {name: done.log[name] for name in done.body}
    assert {"type", "requestId", "cold"} == set(done.log) - set(done.body)
    assert done.log["type"] == "ECL"
    assert all(0 < done.body[name] < 5 for name in ("connection", "write", "read"))
    assert (done.body["redirects"], done.body["retries"]) == (0, 0)
    client = redis.RedisCluster("127.0.0.1", cluster.primaries[0].port, decode_responses=True)
    assert session.fields(done.body["session"]) == client.hgetall(session.key(done.body["session"]))
    client.close()
