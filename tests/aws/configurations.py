"""The configurations whose declared resources are held to AWS's own rules."""

from dataclasses import dataclass, field
from typing import Any

from tests.infra.program import Program, declare


@dataclass(frozen=True)
class Configuration:
    """One way to declare the stack; `settings` are what differs from Pulumi.yaml's defaults."""

    stack: str = "dev"
    settings: dict[str, Any] = field(default_factory=dict[str, Any])

    def declare(self) -> Program:
        """What the program declares; the same configuration runs once per process."""
        return declare(self.stack, **self.settings)


_USER = {"cacheUsername": "app", "cachePassword": "correct-horse-battery", "transitEncryption": True}

CONFIGURATIONS = {
    "default": Configuration(),
    "user over TLS on Valkey": Configuration(settings=_USER),
    "user over TLS on Redis 7.1": Configuration(settings={**_USER, "cacheEngine": "redis 7.1"}),
    "longest stack name": Configuration("a-" + "very-" * 18 + "long-stack"),
    "strangest stack name": Configuration("9_To.5--Team"),
    "40 shards": Configuration(settings={"shardCount": 40, "replicasPerShard": 1}),
    "results not kept": Configuration(settings={"keepResults": False}),
    "with a budget": Configuration(settings={"budgetUsd": 100, "budgetEmail": "me@example.com"}),
}
