"""The function's environment variables: its only settings. The program declares them; only this module reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class EnvironmentRefusedError(ValueError):
    """A variable has a value that the function cannot work with."""


@dataclass(frozen=True)
class CacheSettings:
    """Where the cache is and how to connect to it."""

    host: str
    port: int
    tls: bool = False
    reused: bool = False
    username: str = ""
    password: str = field(default="", repr=False)

    def __str__(self) -> str:
        """Name the cache in a message; the password stays out of it."""
        return f"{self.host}:{self.port}{' with TLS' if self.tls else ''}"


def read(environ: Mapping[str, str]) -> CacheSettings:
    """Check the variables and return the settings.

    Raises:
        EnvironmentRefusedError: names every wrong variable at once.
    """
    host = environ.get("CACHE_HOST", "")
    port = environ.get("CACHE_PORT", "")
    tls = environ.get("CACHE_TLS", "")
    connection = environ.get("CACHE_CONNECTION", "")
    username = environ.get("CACHE_USERNAME", "")
    password = environ.get("CACHE_PASSWORD", "")

    wrong: list[str] = []
    if not host:
        wrong.append("CACHE_HOST is empty: set it to the cache's configuration endpoint")
    if not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        wrong.append(f"CACHE_PORT is {port!r}: set it to a port from 1 to 65535")
    if tls not in {"true", "false"}:
        wrong.append(f"CACHE_TLS is {tls!r}: set it to true or false")
    if connection not in {"fresh", "reused"}:
        wrong.append(f"CACHE_CONNECTION is {connection!r}: set it to fresh or reused")
    if username and not password:
        wrong.append("CACHE_USERNAME is set and CACHE_PASSWORD is empty: set both or neither")
    if wrong:
        raise EnvironmentRefusedError("; ".join(wrong))
    return CacheSettings(host, int(port), tls == "true", connection == "reused", username, password)
