"""The floor for comparisons: planned send times, plain sockets, one epoll loop, and nothing else.

It resolves no names, has no limits and no keep-alive, does not tell failures apart, and keeps only send lag and service
time. A generator's cost above this floor is the price of its features.
"""

import select
import socket
import sys
import time

from contract.profiles import Profile
from contract.schedule import Schedule


def run(profile: Profile, host: str, port: int) -> dict[str, object]:
    """Send the schedule; CPU seconds, counts, latencies in us."""
    schedule = Schedule(profile)
    epoll = select.epoll()
    request = f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    flying: dict[int, tuple[socket.socket, float]] = {}
    lags: list[float] = []
    services: list[float] = []
    good = 0
    cpu = time.process_time()
    start = time.monotonic() + 0.2
    upcoming = schedule.times(0, schedule.total)
    due = next(upcoming, None)
    while due is not None or flying:
        now = time.monotonic() - start
        while due is not None and due[1] <= now:
            sock = socket.socket()
            sock.setblocking(False)
            sock.connect_ex((host, port))
            sock.send(request)  # a loopback connection is established at once
            epoll.register(sock.fileno(), select.EPOLLIN)
            flying[sock.fileno()] = sock, now
            lags.append(now - due[1])
            due = next(upcoming, None)
            now = time.monotonic() - start
        pause = 0.05 if due is None else due[1] - now
        if pause > 0 and not select.select([epoll.fileno()], [], [], pause)[0]:
            continue
        for fd, _ in epoll.poll(0):
            sock, sent = flying.pop(fd)
            reply = sock.recv(65536)
            good += reply.startswith(b"HTTP/1.1 200")
            services.append(time.monotonic() - start - sent)
            sock.close()
    return {
        "cpu_s": time.process_time() - cpu,
        "offered": schedule.total,
        "ok": good,
        "lag_us": sorted(int(lag * 1e6) for lag in lags),
        "service_us": sorted(int(service * 1e6) for service in services),
    }


if __name__ == "__main__":
    sys.exit("run it by `python -m benchmarks`")
