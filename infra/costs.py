"""What a standing stack costs, as an order of magnitude for a user who runs `pulumi up` by hand.

The figures are from memory and dated; `python -m experiment preflight` asks AWS's price list.
"""

import shlex

from infra.settings import Settings

DATED = "November 2026"
# US dollars an hour.
NODE_USD = {"cache.r7g.large": 0.2}
TASK_USD = 0.055  # a Fargate vCPU with 2 to 3 GB
REST_USD = 0.08  # NAT gateway and its public address, load balancer
HOURS_A_MONTH = 730


def while_standing(settings: Settings, stack: str) -> str:
    """One line: about how much an hour and a month, for what, where the figures come from, and how to end it."""
    nodes = settings.shard_count * (1 + settings.replicas_per_shard)
    tasks = 1 + settings.load_tasks
    node_usd = NODE_USD.get(settings.cache_node_type)
    usd = nodes * (node_usd or 0.0) + tasks * TASK_USD + REST_USD
    amount = f"about ${usd:.1f} an hour, ${round(usd * HOURS_A_MONTH, -2):,.0f} a month"
    cache = f"{nodes} nodes of {settings.cache_node_type}"
    rest = f"{tasks} load tasks, NAT gateway, load balancer"
    if node_usd:
        total = f"{amount} ({cache}, {rest})"
    else:
        total = f"{amount} ({rest}), plus {cache}, which often cost more than that"
    return (
        f"{total}, until `pulumi destroy`. An order of magnitude of {DATED}, from memory; AWS's own prices: "
        f".venv/bin/python -m experiment preflight --stack {shlex.quote(stack)}"
    )
