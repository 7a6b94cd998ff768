"""From a bucket to a run folder: the same report as at home, and what is lacking is said."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

import report
from contract import runfolder
from contract.runfolder import read_lines
from experiment.aws import collect, metrics
from experiment.aws.cloud import Cloud
from experiment.errors import ExpiredError, OfflineError
from recorder.shipper import Shipper, put_json
from tests.experiment.answers import GROUP, TWO, group
from tests.experiment.conftest import BUCKET, SleepingClock, in_turn, refuse, scripted
from tools.synthetic import STARTED_AT, Planted, Synthetic, write

CloudOf = Callable[..., Cloud]
RUN = "20261122T151100Z-dev"


def ship(s3: Any, folder: Path, *, closed: bool = True) -> None:
    """Send a run folder as the master does, in several segments."""
    shipper = Shipper(s3, BUCKET, folder)
    shipper.claim({"task": "t"})
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    for share in (0.2, 0.7, 1.0):
        for name, data in whole.items():
            (folder / name).write_bytes(data if name.endswith(".json") else data[: int(len(data) * share)])
        shipper.ship(last=share == 1.0)
    assert shipper.unsent() == []
    if closed:
        put_json(s3, BUCKET, f"runs/{shipper.run_id}/evidence.json", {"files": shipper.sent, "whole": True})


def fetch(cloud: Cloud, runs: Path, said: list[str] | None = None) -> collect.Collected:
    """A run of a stack that stands."""
    say = (said if said is not None else []).append
    return collect.collect(cloud, RUN, EXPORTS, runs, why_no_stack="", say=say)


def fetch_bare(cloud: Cloud, runs: Path, said: list[str] | None = None) -> collect.Collected:
    """A run of which only the bucket is left."""
    say = (said if said is not None else []).append
    gone = "stack dev is not deployed"
    return collect.collect(cloud, RUN, {"resultsBucket": BUCKET}, runs, why_no_stack=gone, say=say)


# Judged by what only a rehearsal has: other programs on its machine, environments of its own, a sham.
OF_A_REHEARSAL = ("Place known", "Servers recorded", "Other programs", "Function environments", "Sham comparable")


def comparable(report_json: dict[str, Any]) -> dict[str, Any]:
    """A report without where it ran, and what only that place promises."""
    *said, claim = report_json["verdict"]
    assert ("on one machine" in claim) == (report_json["where"] == "rehearsal"), claim
    apart = {
        "where": None,
        "verdict": said,
        "next": None,
        "checks": [check for check in report_json["checks"] if check["name"] not in OF_A_REHEARSAL],
        "run": {key: value for key, value in report_json["run"].items() if key != "missing"},
    }
    return {**report_json, **apart}


def test_the_same_run_gives_the_same_report_but_for_where_it_ran(s3: Any, cloud_of: CloudOf, tmp_path: Path) -> None:
    """The road through S3 changes nothing: not a second, not a percentile, not an event."""
    without_control = Synthetic(phases=(("Steady", 60, 50, 50),), moves=(Planted("real", 25, 10, 140),))
    original = write(tmp_path / "rehearsal" / RUN, without_control)
    at_home = report.build(original, []).report
    for made in ("report.html", "report.json", "report.md", "timeline.svg", "timeline.png"):
        (original / made).unlink(missing_ok=True)
    ship(s3, original)
    done = fetch_bare(cloud_of(s3=s3), tmp_path / "collected")
    runfolder.update_run(done.folder, {"where": "aws"})
    collected = report.build(done.folder, []).report
    assert done.missing == ["settings, metrics.jsonl: stack dev is not deployed"]
    assert (at_home["where"], collected["where"]) == ("rehearsal", "aws")
    assert comparable(collected) == comparable(at_home)
    for name in ("seconds.csv", "latency.hlog", "arrivals.csv", "events.jsonl", "sessions.bin", "server.jsonl"):
        assert (done.folder / name).read_bytes() == (original / name).read_bytes()


@pytest.fixture
def bucket_with_run(s3: Any, tmp_path: Path) -> Any:
    """A short run in the bucket, without audit: nobody made one yet."""
    what = Synthetic(phases=(("Warm up", 60, 2, 8), ("Higher load", 30, 5, 15), ("Cool down", 60, 2, 8)), moves=())
    folder = write(tmp_path / "master" / RUN, what)
    for made_on_this_machine in ("audit.json", "server.jsonl", "function.jsonl"):
        (folder / made_on_this_machine).unlink(missing_ok=True)
    ship(s3, folder)
    return s3


def account(s3: Any, **changed: Any) -> dict[str, Any]:
    """AWS after the run: two shards, metrics of the last minutes, the function's log."""
    minutes = [datetime.fromtimestamp(STARTED_AT // 60 * 60 + 60 * n, UTC) for n in range(3)]

    def metric_data(**asked: Any) -> dict[str, Any]:
        results = [
            {"Id": query["Id"], "Label": "x", "Timestamps": minutes, "Values": [5.0] * 3, "StatusCode": "Complete"}
            for query in asked["MetricDataQueries"]
        ]
        return {"MetricDataResults": results, "Messages": []}

    arn = "arn:aws:elasticloadbalancing:eu-west-1:1:loadbalancer/app/dev-alb/50dc6c495c0c9188"
    balancers = [
        {"DNSName": "another", "LoadBalancerArn": arn.replace("dev-alb", "another")},
        {"DNSName": "Internal-dev", "LoadBalancerArn": arn},
    ]
    clients: dict[str, Any] = {
        "s3": s3,
        "elasticache": scripted("elasticache", describe_replication_groups=in_turn(group(*TWO))),
        "cloudwatch": scripted("cloudwatch", get_metric_data=metric_data),
        "elbv2": scripted("elbv2", describe_load_balancers=in_turn({"LoadBalancers": balancers})),
    }
    return {**clients, **changed}


EXPORTS = {
    "resultsBucket": BUCKET,
    "cacheReplicationGroupId": GROUP,
    "functionName": "dev-session",
    "auditFunctionName": "dev-audit",
    "albDnsName": "internal-dev",
}


def test_metrics_complete_the_run(
    bucket_with_run: Any, cloud_of: CloudOf, clock: SleepingClock, tmp_path: Path
) -> None:
    """What the master could not write any more is in the folder, and the report reads CloudWatch's metrics of it."""
    clock.now = STARTED_AT + 400
    done = fetch(cloud_of(**account(bucket_with_run)), tmp_path / "runs")
    servers = [row for row in read_lines(done.folder, runfolder.SERVER) if row["node"] == "0002-001"]
    assert [row["commands"] for row in servers] == [10, 20, 30]
    assert {(row["shard"], row["role"], row["slots"]) for row in servers} == {(2, "primary", 8192)}
    kept = list(read_lines(done.folder, metrics.METRICS_FILE))
    assert {"Invocations", "ConsumedLCUs", "Evictions"} <= {row["metric"] for row in kept}
    balancers = {row["dimensions"]["LoadBalancer"] for row in kept if "LoadBalancer" in row["dimensions"]}
    assert balancers == {"app/dev-alb/50dc6c495c0c9188"}
    aws = report.build(done.folder, []).report["aws"]
    assert [(row["name"], row["invocations"], row["throttles"]) for row in aws["functions"]] == [
        ("dev-audit", 15, 15), ("dev-session", 15, 15),
    ]  # fmt: skip
    assert [(row["name"], row["balancer_5xx"]) for row in aws["balancers"]] == [("app/dev-alb/50dc6c495c0c9188", 15)]
    assert [row["evictions"] for row in aws["nodes"]] == [15] * len(aws["nodes"])
    assert len(aws["nodes"]) >= 2


def test_the_runs_last_minute_is_waited_for(
    bucket_with_run: Any, cloud_of: CloudOf, clock: SleepingClock, tmp_path: Path
) -> None:
    """`run` collects as soon as the load is over, and CloudWatch has a minute's values up to three minutes later."""
    clock.now = STARTED_AT + 160

    def metric_data(**asked: Any) -> dict[str, Any]:
        minutes = [datetime.fromtimestamp(STARTED_AT // 60 * 60 + 60 * n, UTC) for n in range(3)]
        there = [minute for minute in minutes if minute.timestamp() + 240 <= clock.now]
        values = {"Label": "x", "Timestamps": there, "Values": [5.0] * len(there), "StatusCode": "Complete"}
        return {"MetricDataResults": [{"Id": query["Id"], **values} for query in asked["MetricDataQueries"]]}

    client = scripted("cloudwatch", get_metric_data=metric_data)
    clients = account(bucket_with_run, cloudwatch=client)
    done = fetch(cloud_of(**clients), tmp_path / "runs")
    servers = [row for row in read_lines(done.folder, runfolder.SERVER) if row["node"] == "0002-001"]
    assert len(servers) == 3
    assert {row["t_s"] for row in read_lines(done.folder, metrics.METRICS_FILE) if row["metric"] == "Invocations"} == {
        row - STARTED_AT for row in (STARTED_AT // 60 * 60 + 60 * n for n in range(3))
    }


def test_metrics_that_cloudwatch_could_not_read_are_named(
    bucket_with_run: Any, cloud_of: CloudOf, clock: SleepingClock, tmp_path: Path
) -> None:
    """GetMetricData succeeds as a call while single queries of it fail: their gap is no zero."""
    clock.now = STARTED_AT + 400

    def metric_data(**asked: Any) -> dict[str, Any]:
        values = {"Label": "x", "Timestamps": [], "Values": [], "StatusCode": "InternalError"}
        return {"MetricDataResults": [{"Id": query["Id"], **values} for query in asked["MetricDataQueries"]]}

    clients = account(bucket_with_run, cloudwatch=scripted("cloudwatch", get_metric_data=metric_data))
    done = fetch(cloud_of(**clients), tmp_path / "runs")
    assert done.missing == [
        "server.jsonl: CloudWatch metrics: queries ended as InternalError",
        "metrics.jsonl: CloudWatch metrics: queries ended as InternalError",
    ]


def test_what_cannot_be_had_is_named_and_loses_nothing_else(
    bucket_with_run: Any, cloud_of: CloudOf, clock: SleepingClock, tmp_path: Path
) -> None:
    """A missing permission costs its own file, not the run."""
    clock.now = STARTED_AT + 400
    denied = refuse("AccessDeniedException", "not authorized to perform cloudwatch:GetMetricData", status=403)
    refused = scripted("cloudwatch", get_metric_data=in_turn(denied))
    done = fetch(cloud_of(**account(bucket_with_run, cloudwatch=refused)), tmp_path / "runs")
    assert sum("not authorized" in lack for lack in done.missing) == 2
    assert (done.folder / "seconds.csv").exists()
    assert not (done.folder / metrics.METRICS_FILE).exists()


def test_expired_credentials_in_the_middle_lose_nothing(
    bucket_with_run: Any, cloud_of: CloudOf, clock: SleepingClock, tmp_path: Path
) -> None:
    """The same command goes on, and no row is there twice."""
    clock.now = STARTED_AT + 400
    expired = scripted("elbv2", describe_load_balancers=in_turn(refuse("ExpiredTokenException")))
    with pytest.raises(ExpiredError):
        fetch(cloud_of(**account(bucket_with_run, elbv2=expired)), tmp_path / "runs")
    assert not (tmp_path / "runs" / RUN).exists()
    done = fetch(cloud_of(**account(bucket_with_run)), tmp_path / "runs")
    servers = [row["t_s"] for row in read_lines(done.folder, runfolder.SERVER) if row["node"] == "0002-001"]
    assert len(servers) == len(set(servers)) == 3


def test_a_network_that_goes_away_in_the_middle_costs_no_evidence(
    bucket_with_run: Any, cloud_of: CloudOf, clock: SleepingClock, tmp_path: Path
) -> None:
    """It comes back: metrics that could not be asked for are not metrics that cannot be had."""
    clock.now = STARTED_AT + 400
    offline = in_turn(EndpointConnectionError(endpoint_url="https://monitoring.eu-west-1.amazonaws.com"))
    cloud = cloud_of(**account(bucket_with_run, cloudwatch=scripted("cloudwatch", get_metric_data=offline)))
    with pytest.raises(OfflineError):
        fetch(cloud, tmp_path / "runs")
    assert not (tmp_path / "runs" / RUN).exists()


def test_a_run_whose_master_died_is_an_interrupted_run(s3: Any, cloud_of: CloudOf, tmp_path: Path) -> None:
    """Half a run in the bucket makes a report that says INVALID, not a crash and not a valid report."""
    folder = write(tmp_path / "master" / RUN, Synthetic(moves=(), ended="running"))
    ship(s3, folder, closed=False)
    cut = [entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"] if "latency.hlog" in entry["Key"]]
    s3.delete_object(Bucket=BUCKET, Key=cut[-1])
    done = fetch_bare(cloud_of(s3=s3), tmp_path / "runs")
    result = report.build(done.folder, [])
    assert result.exit_code == 2
    assert result.report["ended"] == "interrupted"
    assert any("did not confirm that everything was sent" in lack for lack in done.missing)


def test_collecting_twice_changes_nothing(s3: Any, cloud_of: CloudOf, tmp_path: Path) -> None:
    """A folder that is here is the run: an audit in it must not be overwritten by a second collect."""
    ship(s3, write(tmp_path / "master" / RUN, Synthetic(moves=())))
    done = fetch_bare(cloud_of(s3=s3), tmp_path / "runs")
    runfolder.update_run(done.folder, {"missing": done.missing})
    (done.folder / "audit.json").write_text('{"complete": true}')
    said: list[str] = []
    again = fetch_bare(cloud_of(s3=s3), tmp_path / "runs", said)
    assert again.missing == done.missing
    assert "exists already" in said[0]
    assert (done.folder / "audit.json").read_text() == '{"complete": true}'
