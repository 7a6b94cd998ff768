"""One line of the tables of what AWS says in prose only."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rule:
    """One line: which parameters it is for (`[]` stands for each item of a list, "" for the whole request)."""

    operations: tuple[str, ...]
    path: str
    holds: Callable[[Any], bool]
    allowed: str
    source: str
    refused: Any
