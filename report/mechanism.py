"""How slots moved, in words, and how that relates to what AWS says of ElastiCache."""

from collections.abc import Mapping
from typing import Any

WAYS = {
    "batches": ", by atomic slot migration in batches",
    "slots": ", slot by slot",
    "atomic": ", by one atomic slot migration",
}
# Amazon Web Services, What's New, 9 November 2017: "Amazon ElastiCache for Redis introduces dynamic addition and
# removal of shards while continuing to serve workloads".
AWS_SAYS = (
    "https://aws.amazon.com/about-aws/whats-new/2017/11/amazon-elasticache-for-redis-introduces-dynamic-addition-and-"
    "removal-of-shards-while-continuing-to-serve-workloads/"
)
_WHAT = {
    "batches": "CLUSTER MIGRATESLOTS on a few slots at a time: the source keeps a batch's keys until its slots change "
    "their owner",
    "slots": "slot by slot, with MIGRATE: keys leave the source one after the other while their slot is open, and "
    "clients meet ASK",
    "atomic": "one CLUSTER MIGRATESLOTS for all slots: the source keeps the keys until all of them change their owner",
    "ElastiCache": "as ElastiCache moves them",
}
_LIKE = {
    "batches": "What ran here is like it in that, but it is Valkey's mechanism, in batches and at a pace of this "
    "project's: how much else they share is not known.",
    "slots": "What ran here is another mechanism.",
    "atomic": "What ran here is like it in that, but it is Valkey's mechanism, and all slots move at once: how much "
    "else they share is not known.",
    "ElastiCache": "",
}


def explained(reshard: object) -> str:
    """Which mechanism moved the slots of a run (run.json's `reshard`); empty if the run does not say."""
    way = str(reshard.get("migration")) if isinstance(reshard, Mapping) else ""
    if way not in _WHAT:
        return ""
    said = (
        "AWS said on 9 November 2017 that ElastiCache moves slots atomically, and that the source keeps a key until "
        "the entire slot has moved"
    )
    return f"{_WHAT[way]}. {said} ({AWS_SAYS}). {_LIKE[way]}".rstrip()


def retries(moves: Any) -> list[str]:
    """A sentence on the tries that failed and were repeated; none if there were none."""
    count = sum(move["retried"] for move in moves)
    if not count:
        return []
    tries = "1 try to move slots failed and was" if count == 1 else f"{count} tries to move slots failed and were"
    return [f"{tries} repeated (events.jsonl has the server's messages)."]
