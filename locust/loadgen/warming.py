"""Warms the target before second 0: bursts of simultaneous requests, each the same request as an arrival.

A function's environment takes one invocation at a time, so n requests at once leave n environments behind, which later
arrivals find warm. The bursts are a small schedule of their own, sent by a sender of their own. Their rows are only
counted here: nothing of them is in the books. A target that does not answer holds nothing up: second 0 is fixed before.
"""

import contextlib
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

from contract.profiles import parse
from contract.schedule import Schedule
from loadgen import outcomes
from loadgen.exchange import Exchange
from loadgen.leases import Share
from loadgen.messages import Warmed
from loadgen.outcomes import row_struct
from loadgen.resolver import Resolver
from loadgen.sender import Sender

# The peak's arrivals in such a stall are in flight at once, and each needs an environment: 225 at 900 a second.
# Moving half the slots in one go stalled rehearsals for 0.2 to 0.25 s, with up to 209 environments busy.
STALL_S = 0.25
BURSTS_S = (8.0, 5.5, 3.0)
"""Seconds before second 0. While a first burst waits for new environments, those that are free again serve a part of
it; the next burst finds all of them free. A new environment in a VPC is expected to be ready within 2 s."""
CONNECT_S = 0.5
"""How long before its burst a connection is opened."""
GIVE_UP_S = 1.0
"""By then every reply is in, or its connection is closed: second 0 finds a quiet target."""

_END = b"\r\n"  # the empty line after a request's headers
Make = Callable[[type[Sender], Schedule, float], Sender]


def lead_s(wanted: int) -> float:
    """How much later second 0 is because of the warming."""
    return BURSTS_S[0] + CONNECT_S if wanted else 0.0


def for_peak(schedule: Schedule) -> int:
    """The environments that the schedule's highest rate needs while every reply waits for `STALL_S`."""
    return math.ceil(STALL_S * max(max(phase.rate_from, phase.rate_to) for phase in schedule.phases))


def bursts(requests: int) -> Schedule:
    """For each burst so many arrivals that open a connection, and one more at the moment of the burst."""
    connect_ms, gap_ms = int(CONNECT_S * 1000), int((BURSTS_S[0] - BURSTS_S[1]) * 1000)
    burst = f"""
 - {{duration: 1ms, arrivalCount: {requests}}}
 - {{pause: {connect_ms - 1}ms}}
 - {{duration: 1ms, arrivalCount: 1}}
 - {{pause: {gap_ms - connect_ms - 1}ms}}"""
    return Schedule(parse("phases:" + burst * len(BURSTS_S)))


class BurstSender(Sender):
    """Sends `bursts`: all but the end of each request as its connection is made, and all ends in one go.

    A balancer passes a request on once it is whole, so they arrive together however long the connections take.
    """

    def __init__(self, schedule: Schedule, resolver: Resolver, request: bytes, **others: Any) -> None:
        super().__init__(schedule, resolver, request[: -len(_END)], **others)
        self._each = schedule.total // len(BURSTS_S)

    def _send(self, exchange: Exchange, now_s: float) -> None:
        if exchange.k % self._each < self._each - 1:
            super()._send(exchange, now_s)
            return
        for waiting in self._exchanges.by_fd.values():
            with contextlib.suppress(OSError):  # it ends without a good reply
                waiting.sock.send(_END)


class Warming:
    """A worker's part of the warming, from its plan until its counts are handed over."""

    def __init__(self, requests: int, make: Make, timings: int, start_monotonic_s: float) -> None:
        schedule = bursts(requests)
        self._requests = requests * len(BURSTS_S)
        self._row = row_struct(timings)
        self._give_up_monotonic_s = start_monotonic_s - GIVE_UP_S
        self._sender = make(BurstSender, schedule, -lead_s(requests))
        self._sender.orders.append([Share(0, 0, schedule.total, 1, final=True)])
        self._sender.start()

    @property
    def crash(self) -> str:
        """The sender's last words, if it ended by a defect."""
        return self._sender.crash

    def quit(self) -> None:
        """Stop at once; what is in flight is closed."""
        self._sender.quit()

    def counts(self, now_monotonic_s: float) -> Warmed | None:
        """What became of all requests, once none is on its way any more; None before."""
        if now_monotonic_s < self._give_up_monotonic_s:
            return None
        self.quit()
        if not self._sender.stopped:
            return None
        rows = [outcomes.Row.of(self._row.unpack(packed)) for packed in self._sender.rows]
        causes = Counter(outcomes.name(row.outcome) for row in rows if row.outcome != outcomes.OK)
        if unanswered := self._requests - len(rows):
            causes["no reply in time"] = unanswered
        return {
            "requests": self._requests,
            "sessions": self._requests - causes.total(),
            "said_cold": sum(row.cold != outcomes.NOT_SAID for row in rows),
            "cold": sum(row.cold == 1 for row in rows),
            "causes": dict(causes),
        }


class WarmingTotals:
    """The master's side: hands out the parts, and sums up what the workers counted."""

    def __init__(self, wanted: int, workers: int) -> None:
        self.wanted = wanted
        self._workers = max(1, workers)
        self._places: dict[str, int] = {}  # of the workers that got a part, in the order in which they asked
        self._sums: Counter[str] = Counter()
        self._causes: Counter[str] = Counter()

    def part(self, worker_id: str, t_s: float) -> int:
        """The requests of each burst for a worker that gets its plan now; none if the first burst is past."""
        if t_s >= -lead_s(self.wanted):
            return 0
        place = self._places.setdefault(worker_id, len(self._places))
        return len(range(place, self.wanted, self._workers)) if place < self._workers else 0

    def enter(self, warmed: Warmed) -> None:
        """A worker's counts."""
        self._sums.update({name: warmed[name] for name in ("requests", "sessions", "said_cold", "cold")})
        self._causes.update(warmed["causes"])

    def as_json(self) -> dict[str, Any]:
        """`warmed` of run.json."""
        sums, times = self._sums, ", ".join(f"{before_s:g}" for before_s in BURSTS_S)
        how = f"{len(BURSTS_S)} bursts of {self.wanted} requests at once, {times} s before second 0"
        if not sums["requests"]:
            how += "; no worker has told what became of them"
        if self._causes:
            how += "; without a good reply: " + ", ".join(f"{name} {n}" for name, n in self._causes.most_common(5))
        return {
            "wanted": self.wanted,
            "environments": sums["cold"] if sums["said_cold"] else None,
            "requests": sums["requests"],
            "sessions": sums["sessions"],
            "how": how,
        }
