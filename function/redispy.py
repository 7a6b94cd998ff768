"""The names of redis-py that this room uses.

`import redis` runs the package's `__init__`, which loads the asyncio client, `RedisCluster` and every command. Here it
runs only once somebody asks `redis` for a name that it defines; `import redis` elsewhere in the process still works.
That has two uses:

- Cold starts: importing the handler takes 88 ms of CPU instead of 116 (medians of 12 imports in turn, Python 3.11, two
  shared cores). The ledger counts cold starts, and every one of them is in the response time.
- Python 3.11.0 to 3.11.2 (Debian 12): there `__init__` needs the package async_timeout, which the function's archive
  does not hold.
"""

import importlib.util
import sys
from types import ModuleType
from typing import Any


class _Deferred(ModuleType):
    """A package whose submodules can be imported before its initialiser has run."""

    def __getattr__(self, name: str) -> Any:
        """Run the initialiser, then look again. Python calls this only for a name that is not there yet."""
        spec = self.__spec__
        if name.startswith("__") or spec is None or spec.loader is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        self.__class__ = ModuleType  # pyright: ignore[reportAttributeAccessIssue] # allowed between module types
        spec.loader.exec_module(self)
        return getattr(self, name)


def _defer_initialiser(package: str) -> None:
    spec = importlib.util.find_spec(package) if package not in sys.modules else None
    if spec is not None:
        module = importlib.util.module_from_spec(spec)
        module.__class__ = _Deferred
        sys.modules[package] = module


_defer_initialiser("redis")

from redis._parsers.base import BaseParser  # noqa: E402 - after the line above; the base of Connection's parsers
from redis.connection import Connection, SSLConnection  # noqa: E402 - as above
from redis.crc import key_slot  # noqa: E402 - as above
from redis.event import EventDispatcher  # noqa: E402 - as above
from redis.exceptions import (  # noqa: E402 - as above
    AskError,
    AuthenticationError,
    AuthorizationError,
    BusyLoadingError,
    ClusterDownError,
    InvalidResponse,
    MasterDownError,
    MovedError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as LostError  # noqa: E402 - as above
from redis.exceptions import TimeoutError as SilentError  # noqa: E402 - as above

__all__ = [
    "AskError",
    "AuthenticationError",
    "AuthorizationError",
    "BaseParser",
    "BusyLoadingError",
    "ClusterDownError",
    "Connection",
    "EventDispatcher",
    "InvalidResponse",
    "LostError",
    "MasterDownError",
    "MovedError",
    "NoPermissionError",
    "OutOfMemoryError",
    "ReadOnlyError",
    "RedisError",
    "ResponseError",
    "SSLConnection",
    "SilentError",
    "TryAgainError",
    "key_slot",
]
