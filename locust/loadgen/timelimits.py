"""The sender's time limits: for a connection to be made, and for a reply to come."""

from collections import deque
from dataclasses import dataclass

from loadgen import outcomes
from loadgen.exchange import CONNECTING, IN_FLIGHT, Exchange, Exchanges
from loadgen.resolver import Resolver

LATE_REPLY_WAIT_S = 1.0  # after the time limit, a reply within this time makes the failure a late_reply, not a timeout


@dataclass(frozen=True)
class Limits:
    """The limits of one sender."""

    time_limit_s: float = 20.0
    connect_limit_s: float = 5.0
    max_in_flight: int = 8192


class TimeLimits:
    """Ends exchanges whose time is over.

    Exchanges wait in the order they were sent, so only the first of each queue is looked at. One that left its state
    meanwhile stays in its queue until it is the first there.
    """

    def __init__(self, limits: Limits, exchanges: Exchanges, resolver: Resolver) -> None:
        self.connecting: deque[Exchange] = deque()  # connections that the loop has to wake for
        self._limits = limits
        self._exchanges = exchanges
        self._resolver = resolver
        self._overtime: deque[Exchange] = deque()  # past the time limit, but the reply may still come

    def expire(self, now_s: float) -> None:
        """End what is over at this time."""
        self._expire_time_limit(now_s)
        self._expire_connecting(now_s)
        self._expire_overtime(now_s)

    def _expire_time_limit(self, now_s: float) -> None:
        limit_s = self._limits.time_limit_s
        in_order = self._exchanges.in_order
        while in_order:
            exchange = in_order[0]
            if exchange.state in IN_FLIGHT:
                if now_s - exchange.sent_s <= limit_s:
                    break
                if exchange.state == CONNECTING:
                    self._not_connected(exchange, now_s, limit_s)
                else:
                    self._overtime.append(exchange)
            in_order.popleft()

    def _expire_connecting(self, now_s: float) -> None:
        limit_s = self._limits.connect_limit_s
        connecting = self.connecting
        while connecting:
            exchange = connecting[0]
            if exchange.state == CONNECTING:
                if now_s - exchange.sent_s <= limit_s:
                    break
                self._resolver.down(exchange.address)
                self._not_connected(exchange, now_s, limit_s)
            connecting.popleft()

    def _expire_overtime(self, now_s: float) -> None:
        limit_s = self._limits.time_limit_s
        overtime = self._overtime
        while overtime:
            exchange = overtime[0]
            if exchange.state in IN_FLIGHT:
                if now_s <= exchange.sent_s + limit_s + LATE_REPLY_WAIT_S:
                    break
                detail = f"{exchange.where}: no reply in {limit_s:g} s"
                self._exchanges.failed(exchange, now_s, outcomes.TIMEOUT, detail)
            overtime.popleft()

    def _not_connected(self, exchange: Exchange, now_s: float, limit_s: float) -> None:
        detail = f"{exchange.where}: no connection in {limit_s:g} s"
        self._exchanges.failed(exchange, now_s, outcomes.CONNECT_TIMEOUT, detail)
