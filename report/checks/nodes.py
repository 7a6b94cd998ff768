"""Do the cluster's nodes agree on what they hold, and is that what was written?"""

import math
from collections.abc import Iterator, Mapping
from typing import Any, cast

from contract.runread import Run, number
from report.checks.check import RunCheck, judged
from report.checks.promises import absent

_NAME = "Nodes agree"
_LIMIT = "no key beside its shard, replicas like their primary, as many keys as were written"
_MEANING = "A key where no client looks, or a replica that differs, is lost or comes back with the next failover."


def agree(run: Run) -> Iterator[RunCheck]:
    """Every node was asked after the load what it holds (`nodes` of audit.json)."""
    if run.audit is None or run.text("where") not in ("rehearsal", "aws"):
        return
    told: object = run.audit.get("nodes")
    if not isinstance(told, dict):
        yield RunCheck(_NAME, absent(run, "held"), "the nodes were not asked what they hold", _LIMIT, _MEANING)
        return
    nodes = cast("Mapping[str, Any]", told)
    listed = cast("list[object]", nodes["problems"]) if isinstance(nodes.get("problems"), list) else None
    problems = ["audit.json does not say whether they do"] if listed is None else [str(problem) for problem in listed]
    yield judged(_NAME, not problems, "; ".join(problems)[:1000] or _counts(nodes), _LIMIT, _MEANING)


def _counts(nodes: Mapping[str, Any]) -> str:
    keys, values, least, most = (number(nodes.get(name)) for name in ("keys", "values", "at_least", "at_most"))
    asked = cast("list[object]", nodes["nodes"]) if isinstance(nodes.get("nodes"), list) else []
    bounds = f"{least:,.0f} to {most:,.0f}" if not math.isnan(most) else f"at least {least:,.0f}"
    return f"{keys:,.0f} keys ({bounds} expected), {values:,.0f} compared with their copies, {len(asked)} nodes asked"
