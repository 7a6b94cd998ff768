"""One invocation: write a session to the cluster, read it back, and say how long each step took."""

import os
import time
from http import HTTPStatus
from typing import Any

from function import cache_settings, session
from function.client import ClusterClient, Command, OutOfTimeError, RefusedError, UnavailableError
from function.deadline import Deadline, LambdaContext
from function.reply import log, respond

_kept: dict[cache_settings.CacheSettings, ClusterClient] = {}
_invocations = 0


class DifferentError(Exception):
    """The value read is not the value written."""


_FAILURES: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (UnavailableError, HTTPStatus.SERVICE_UNAVAILABLE, "unavailable"),
    (OutOfTimeError, HTTPStatus.GATEWAY_TIMEOUT, "deadline"),
    (RefusedError, HTTPStatus.INTERNAL_SERVER_ERROR, "refused"),
    (DifferentError, HTTPStatus.INTERNAL_SERVER_ERROR, "different"),
    (cache_settings.EnvironmentRefusedError, HTTPStatus.INTERNAL_SERVER_ERROR, "environment"),
    (Exception, HTTPStatus.INTERNAL_SERVER_ERROR, "internal"),
)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Serve one request of the load balancer. A failed reply names the kind of failure; the log line says why."""
    global _invocations  # noqa: PLW0603 - a cold start is a process's first invocation
    _invocations += 1
    record: dict[str, Any] = {"type": "ECL", "requestId": context.aws_request_id, "cold": _invocations == 1}
    try:
        cache = cache_settings.read(os.environ)
        deadline = Deadline.of(context)
        cluster = _kept.get(cache) or ClusterClient(cache)
        if cache.reused:
            _kept[cache] = cluster
        try:
            reply = _serve(cluster, deadline, record)
        finally:
            if not cache.reused:
                cluster.close()
    except Exception as error:  # noqa: BLE001 - every failure becomes one log line and one JSON answer
        status, kind = next((status, kind) for family, status, kind in _FAILURES if isinstance(error, family))
        log(record | {"status": status.value, "error": kind, "detail": f"{type(error).__name__}: {error}"})
        return respond(event, status, {"error": kind, "requestId": context.aws_request_id, "cold": record["cold"]})
    log(record)
    return respond(event, HTTPStatus.OK, reply)


def _serve(cluster: ClusterClient, deadline: Deadline, record: dict[str, Any]) -> dict[str, Any]:
    """Take the three timed steps. Timings go into `record` at once, so a failure keeps them; seconds, to the ns."""
    drawn = session.new_id()
    key, values = session.key(drawn), session.fields(drawn)
    write = Command(key, "HSET", key, *session.flat(values))
    read = Command(key, "HGETALL", key)
    record["session"] = drawn
    redirects, retries = cluster.redirects, cluster.retries
    clock = time.perf_counter
    try:
        started = clock()
        cluster.connect(key, deadline)
        connected = clock()
        record["connection"] = round(connected - started, 9)
        cluster.execute(write, deadline)
        written = clock()
        record["write"] = round(written - connected, 9)
        stored = cluster.execute(read, deadline)
        record["read"] = round(clock() - written, 9)
    finally:
        record["redirects"] = cluster.redirects - redirects
        record["retries"] = cluster.retries - retries
    held = session.held(stored)
    if held != values:
        raise DifferentError(f"session {drawn}: written {values}, read {held}")
    return {name: record[name] for name in ("session", "connection", "write", "read", "redirects", "retries", "cold")}
