"""Servers that start together never get the same port."""

from rehearsal.ports import free_ports


def test_no_port_is_given_twice() -> None:
    """A server that was given a port may not listen on it yet when the next one asks."""
    ports = [port for _ in range(300) for port in free_ports(2)]
    assert len(set(ports)) == 600
