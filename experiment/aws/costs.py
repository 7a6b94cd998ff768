"""What a run cost: CloudWatch's counts and the hours that its stack exists."""

from pathlib import Path

from contract import runfolder
from experiment.aws import demand, metrics, prices
from experiment.aws.durations import EXPECTED
from experiment.aws.stack import Stack


def of_run(stack: Stack, folder: Path, since_unix_s: float | None, *, shards: int) -> prices.Estimate:
    """An estimate for the stack from `since_unix_s` (None: the run's start) until it is destroyed right after this."""
    kept = list(runfolder.read_lines(folder, metrics.METRICS_FILE))
    name = str(stack.exports("collect").get("functionName", ""))
    duration_ms = metrics.total(kept, "Duration", name)
    lcus = metrics.total(kept, "ConsumedLCUs")
    measured = prices.Measured(
        calls=metrics.total(kept, "Invocations", name),
        call_s_in_all=None if duration_ms is None else duration_ms / 1000,
        lcu_hours=None if lcus is None else lcus / 60,
    )
    began = since_unix_s or float(str(runfolder.read_run(folder)["started_at_unix_s"]))
    hours = (stack.cloud.now() - began + EXPECTED["destroy"].seconds) / 3600
    facts = demand.facts(stack.settings, stack.root)
    items = prices.items(stack.settings, facts, max(stack.settings.shard_count, shards), measured)
    return prices.estimate(stack.cloud, items, hours)
