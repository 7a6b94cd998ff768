"""Free ports on loopback, so that a second rehearsal beside the first works."""

import random
import socket

# Below the range of outgoing connections (from 32768 on Linux, 49152 on macOS): with 900 new connections a second, one
# of them could otherwise hold the port of a node that joins during the run.
_LOWEST, _HIGHEST = 12000, 29999
# Ports that this process has given out; their servers may not listen yet.
_given: set[int] = set()


def free_ports(count: int) -> list[int]:
    """Return `count` different TCP ports on which nothing listens at 127.0.0.1.

    They are random, so that two rehearsals that start together do not choose the same ones: a server may start a second
    or two after its port was chosen.

    Raises:
        OSError: a thousand random ports were tried without finding enough.
    """
    held: list[socket.socket] = []
    try:
        for port in random.SystemRandom().sample(range(_LOWEST, _HIGHEST + 1), 1000):
            if len(held) == count:
                break
            if port in _given:
                continue
            probe = _bound(port)
            if probe is not None:
                held.append(probe)
        if len(held) < count:
            raise OSError(f"{count} free ports are needed between {_LOWEST} and {_HIGHEST}, {len(held)} were found")
        ports = [probe.getsockname()[1] for probe in held]
        _given.update(ports)
        return ports
    finally:
        for probe in held:
            probe.close()


def _bound(port: int) -> socket.socket | None:
    probe = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
        probe.listen(1)
    except OSError:
        probe.close()
        return None
    return probe
