"""The audit: finds acknowledged sessions that are missing from the cluster, or differ from what was written.

Asked for `nodes` instead of sessions, it says what each node holds (census.py).

Safe while slots move: it only reads and follows redirects. Before it reports a session, it reads that session a second
time on its own, with a new layout.
"""

import os
import uuid
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, cast

from function import cache_settings, session
from function.census import Census
from function.client import HOPS, REPLY_S, CacheError, ClusterClient, Command, NodeAddress, redirected
from function.deadline import Deadline, LambdaContext
from function.redispy import (
    AskError,
    ClusterDownError,
    LostError,
    MovedError,
    ResponseError,
    SilentError,
)
from function.reply import log
from function.resp import pack

MOST = 5000
BATCH = 500  # commands in flight to one node: some 30 kB out and 80 kB back, within what sockets buffer


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Check the event's sessions. If not all could be checked, `error` says why and `checked` how many were."""
    if "nodes" in event:
        return _census(context)
    audit: Audit | None = None
    record: dict[str, Any] = {"type": "AUDIT", "requestId": context.aws_request_id}
    answer: dict[str, Any] = {}
    try:
        sessions = _sessions(event)
        with ClusterClient(cache_settings.read(os.environ)) as cluster:
            try:
                audit = Audit(cluster, Deadline.of(context))
                audit.check(sessions)
            finally:
                record |= {"redirects": cluster.redirects, "retries": cluster.retries}
    except ValueError as error:  # a wrong event or environment
        answer["error"] = str(error)
    except CacheError as error:
        answer["error"] = type(error).__name__.removesuffix("Error")
        record["detail"] = str(error)
    except Exception as error:  # noqa: BLE001 - the caller gets an answer, the log the cause
        answer["error"] = "internal"
        record["detail"] = f"{type(error).__name__}: {error}"
    answer |= {
        "checked": audit.checked if audit else 0,
        "missing": audit.missing if audit else [],
        "different": audit.different if audit else [],
    }
    log(record | answer | {"missing": len(answer["missing"]), "different": len(answer["different"])})
    return answer


def _census(context: LambdaContext) -> dict[str, Any]:
    """What each node holds; where the cluster could not be asked, `error` says why."""
    record: dict[str, Any] = {"type": "CENSUS", "requestId": context.aws_request_id}
    try:
        cache = cache_settings.read(os.environ)
        with ClusterClient(cache) as cluster:
            answer = Census(cluster, Deadline.of(context), tls=cache.tls).take()
    except (ValueError, CacheError) as error:
        answer = {"error": f"{type(error).__name__.removesuffix('Error')}: {error}"}
    except Exception as error:  # noqa: BLE001 - the caller gets an answer, the log the cause
        answer = {"error": "internal"}
        record["detail"] = f"{type(error).__name__}: {error}"
    log(record | {key: answer[key] for key in ("error", "keys", "values", "problems") if key in answer})
    return answer


def _sessions(event: dict[str, Any]) -> list[str]:
    """Return the event's session ids without repetitions; refuses all but a list of at most 5,000 ids."""
    sessions: Any = event.get("sessions")
    if not isinstance(sessions, list):
        raise ValueError(  # noqa: TRY004 - a wrong event is one kind of error, whatever is wrong with it
            f"'sessions' is {type(sessions).__name__}: send a list of session ids"
        )
    ids = cast("list[Any]", sessions)
    if len(ids) > MOST:
        raise ValueError(f"'sessions' holds {len(ids)} ids: send at most {MOST} a call")
    for session_id in ids:
        try:
            valid = str(uuid.UUID(session_id)) == session_id
        except (ValueError, TypeError, AttributeError):
            valid = False
        if not valid:
            raise ValueError(f"'sessions' holds {session_id!r}: send session ids as the function's replies named them")
    return list(dict.fromkeys(ids))


class Audit:
    """One pass over some sessions. Its counts hold even when `check` ended in a CacheError."""

    def __init__(self, cluster: ClusterClient, deadline: Deadline) -> None:
        self.checked = 0
        self.missing: list[str] = []
        self.different: list[str] = []
        self._cluster = cluster
        self._deadline = deadline
        self._pending: dict[
            str, NodeAddress | None
        ] = {}  # read from the node that an ASK named, or (None) from the owner

    def check(self, sessions: Sequence[str]) -> None:
        """Compare every session with the fields that its id determines."""
        self._pending = dict.fromkeys(sessions)
        self._cluster.persist(self._read_all, HOPS, self._deadline)
        doubtful = [*self.missing, *self.different]
        if doubtful:
            self._cluster.forget_layout()
        for session_id in doubtful:
            key = session.key(session_id)
            held = session.held(self._cluster.execute(Command(key, "HGETALL", key), self._deadline))
            if held == session.fields(session_id):
                (self.missing if session_id in self.missing else self.different).remove(session_id)

    def _read_all(self, hops: int, _: Deadline) -> None:
        for _hop in range(hops):
            if not self._pending:
                return
            self._read_once()
        if self._pending:
            raise ClusterDownError(f"{len(self._pending)} sessions were redirected {hops} times in a row")

    def _read_once(self) -> None:
        """Read the pending sessions, in batches per node; answered ones leave `_pending`."""
        groups: defaultdict[NodeAddress, list[str]] = defaultdict(list)
        for session_id, node_of_ask in self._pending.items():
            groups[node_of_ask or self._cluster.owner(session.slot(session_id), self._deadline)].append(session_id)
        passing: ResponseError | None = None
        for node, group in groups.items():
            for start in range(0, len(group), BATCH):
                passing = self._read_batch(node, group[start : start + BATCH]) or passing
        if passing:
            raise passing

    def _read_batch(self, node: NodeAddress, batch: Sequence[str]) -> ResponseError | None:
        """Read a batch from one node; return the last error reply that is not a redirect."""
        packed: list[bytes] = []
        for session_id in batch:
            packed += [pack(["ASKING"])] if self._pending[session_id] else []
            packed.append(pack(["HGETALL", session.key(session_id)]))
        try:
            link = self._cluster.link(node, self._deadline)
            replies = iter(link.exchange(b"".join(packed), len(packed), self._deadline.share(1 / 3, REPLY_S)))
        except (LostError, SilentError):
            self._cluster.drop(node)
            self._pending.update(dict.fromkeys(batch))
            raise
        error: ResponseError | None = None
        for session_id in batch:
            if self._pending[session_id]:
                next(replies)  # ASKING's own
            reply = next(replies)
            if isinstance(reply, AskError):  # of which MovedError is one
                self._cluster.redirects += 1
                to = redirected(reply, link)
                asking = not isinstance(reply, MovedError)
                self._pending[session_id] = to if asking else None
                if not asking:
                    self._cluster.moved(session.slot(session_id), to)
            elif isinstance(reply, ResponseError):
                self._pending[session_id] = None
                error = reply
            else:
                self._judge(session_id, reply)
        return error

    def _judge(self, session_id: str, reply: list[bytes]) -> None:
        del self._pending[session_id]
        self.checked += 1
        held = session.held(reply)
        if held != session.fields(session_id):
            (self.different if held else self.missing).append(session_id)
