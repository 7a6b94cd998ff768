"""A small AWS and a Locust master in it, on a clock that only sleeping moves, for tests of the whole command."""

import http.server
import io
import json
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from botocore.response import StreamingBody
from pulumi import automation

from experiment.aws import stack as aws_stack
from experiment.aws.cloud import Cloud
from infra import settings as stack_settings
from recorder.shipper import Shipper, put_json
from tests.experiment.answers import GROUP, ONE, TWO, group
from tests.experiment.conftest import BUCKET, REGION, SleepingClock, in_turn, refuse, scripted
from tests.infra.engine import docker_daemon
from tools.synthetic import STARTED_AT, Planted, Synthetic, write

ROOT = Path(__file__).resolve().parents[2]
TASK = "arn:aws:ecs:eu-west-1:123456789012:task/dev-load/0123456789abcdef"
RUN = "20261122T151100Z-dev"
# The run that is played lasts 150 s, as the original's 50 minutes do when divided by 20.
LOAD_COMPRESS = f"{stack_settings.project_name(ROOT)}:loadCompress"

# Stands for AWS's session-manager-plugin: carries one local port to the master's, as the real one does through SSM.
PLUGIN = """#!{python}
import json, os, socket, sys, threading
told = json.loads(os.environ[sys.argv[1]])
assert told["TokenValue"] and sys.argv[3] == "StartSession", sys.argv
local = int(json.loads(sys.argv[5])["Parameters"]["localPortNumber"][0])
def carry(a, b):
    try:
        while data := a.recv(65536):
            b.sendall(data)
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
server = socket.create_server(("127.0.0.1", local))
while True:
    here, _ = server.accept()
    there = socket.create_connection(("127.0.0.1", {port}))
    for pair in ((here, there), (there, here)):
        threading.Thread(target=carry, args=pair, daemon=True).start()
"""


@dataclass
class World:
    """Everything outside this machine."""

    s3: Any
    folder: Path
    clock: SleepingClock
    rolls_back: bool = False
    workers: int = 3
    shards: int = 1
    asked_at: float | None = None
    state: str = "ready"
    swarms: int = 0
    engine_calls: list[str] = field(default_factory=list[str])
    up_fails: dict[int, Exception] = field(default_factory=dict[int, Exception])
    """Which `pulumi up` fails, counted from 1, after it has asked AWS."""
    destroy_fails: Exception | None = None
    config: dict[str, str] = field(default_factory=lambda: {"aws:region": REGION, LOAD_COMPRESS: "20"})
    deployed: bool = False
    left: list[str] = field(default_factory=list[str])
    """What the tagging API lists, as it does long after a resource is gone."""
    interfaces: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """The network interfaces that are still in the VPC."""
    keeps_results: bool = True
    """As the last `pulumi up` declared it."""
    interrupt_at: float | None = None
    ahead_s: float = 0.0
    """How far AWS's clock, which is the master's, is ahead of this machine's."""
    requests: list[tuple[str, Any]] = field(default_factory=list[tuple[str, Any]])

    def __post_init__(self) -> None:
        moves = () if self.rolls_back else (Planted("real", 102, 10),)
        warmed = {"wanted": 9, "environments": 9, "requests": 27, "sessions": 0, "how": "its cluster is made up"}
        as_set = {"scale": 3.0, "compress": 20.0, "time_limit_s": 20.0, "warmed": warmed}
        spec = Synthetic(moves=moves, profile="artillery-50min", run=as_set)
        self.whole = write(self.folder / "master" / RUN, spec)
        (self.whole / "audit.json").unlink()
        run = json.loads((self.whole / "run.json").read_text())
        run.update(where="generator", id=RUN)
        for added_by_others in ("settings", "engine", "reshard", "command"):
            run.pop(added_by_others, None)
        (self.whole / "run.json").write_text(json.dumps(run))
        self.files = {path.name: path.read_bytes() for path in self.whole.iterdir()}
        self.sent = sum(int(row.split(",")[3]) for row in self.files["seconds.csv"].decode().splitlines()[1:])
        self.duration_s = float(run["duration_s"])
        self.shipper: Shipper | None = None
        self.clock.now = STARTED_AT - 30 - self.ahead_s
        sleep = self.clock.sleep

        def sleep_and_go_on(seconds: float) -> None:
            sleep(seconds)
            self.go_on()

        self.clock.sleep = sleep_and_go_on  # type: ignore[method-assign] - the world moves with the clock

    # The master

    def swarm(self) -> dict[str, Any]:
        """POST /swarm: the run begins, and its first trace is in the bucket."""
        self.swarms += 1
        self.state = "running"
        self.shipper = Shipper(self.s3, BUCKET, self.whole)
        self.shipper.claim({"task": TASK})
        self._mark(None)
        self.go_on()
        return {"success": True, "message": "Swarming started"}

    def _mark(self, ended: str | None) -> None:
        marker = {"run": RUN, "task": TASK, "started_at_unix_s": STARTED_AT, "ended": ended}
        put_json(self.s3, BUCKET, "markers/current-dev.json", marker)

    def go_on(self) -> None:
        """Ship what the run has come to by now."""
        if self.interrupt_at is not None and self.clock.now >= self.interrupt_at:
            self.interrupt_at = None
            raise KeyboardInterrupt
        if self.state != "running" or self.shipper is None:
            return
        share = min(1.0, max(0.0, (self.clock.now + self.ahead_s - STARTED_AT) / self.duration_s))
        over = share == 1.0
        for name, data in self.files.items():
            if name == "run.json":
                run = json.loads(data) | ({} if over else {"ended": "running"})
                (self.whole / name).write_text(json.dumps(run))
            else:
                (self.whole / name).write_bytes(data[: int(len(data) * share)])
        self.shipper.ship(last=over)
        if over:
            self.state = "finished"
            put_json(self.s3, BUCKET, f"runs/{RUN}/evidence.json", {"files": self.shipper.sent, "whole": True})
            self._mark("closed")

    # AWS

    def group(self, **_: Any) -> dict[str, Any]:
        """DescribeReplicationGroups: a change takes a minute and a half."""
        if self.asked_at is None:
            return group(*(ONE if self.shards == 1 else TWO))
        since = self.clock.now - self.asked_at
        if since < 90:
            return group(*ONE, "", status="modifying", percent=since)
        self.shards, self.asked_at = (1 if self.rolls_back else 2), None
        return self.group()

    def clients(self) -> dict[str, Any]:
        """Scripted clients, S3 from moto."""
        minutes = [datetime.fromtimestamp(STARTED_AT // 60 * 60 + 60 * n, UTC) for n in range(3)]

        def metric_data(**asked: Any) -> dict[str, Any]:
            results = [
                {"Id": query["Id"], "Label": "x", "Timestamps": minutes, "Values": [5.0] * 3, "StatusCode": "Complete"}
                for query in asked["MetricDataQueries"]
            ]
            return {"MetricDataResults": results, "Messages": []}

        def identity(**_: Any) -> dict[str, Any]:
            date = formatdate(int(self.clock.now + self.ahead_s), usegmt=True)
            metadata = {"HTTPStatusCode": 200, "HTTPHeaders": {"date": date}}
            return {"UserId": "u", "Account": "1", "Arn": "arn:aws:iam::1:user/me", "ResponseMetadata": metadata}

        def audit(**asked: Any) -> dict[str, Any]:
            event = json.loads(asked["Payload"])
            if "nodes" in event:
                held = self.sent if self.state == "finished" else 0
                return answered({"keys": held, "values": held, "nodes": [], "problems": []})
            count = len(event["sessions"])
            return answered({"checked": count, "missing": [], "different": []})

        def answered(answer: dict[str, Any]) -> dict[str, Any]:
            body = json.dumps(answer).encode()
            return {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(body), len(body))}

        def interfaces(**asked: Any) -> dict[str, Any]:
            assert asked["Filters"] == [{"Name": "vpc-id", "Values": ["vpc-1"]}]
            return {"NetworkInterfaces": self.interfaces}

        def tagged(**asked: Any) -> dict[str, Any]:
            assert asked["TagFilters"][1] == {"Key": "Stack", "Values": ["dev"]}
            return {"ResourceTagMappingList": [{"ResourceARN": arn} for arn in self.left]}

        task = {
            "taskArn": TASK, "lastStatus": "RUNNING",
            "containers": [
                {
                    "name": "master", "runtimeId": "0123-456",
                    "managedAgents": [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING"}],
                }
            ],
        }  # fmt: skip
        session = {"SessionId": "s", "TokenValue": "t", "StreamUrl": "wss://x"}
        return {
            "s3": self.s3,
            "sts": scripted("sts", get_caller_identity=identity),
            "elasticache": scripted(
                "elasticache",
                describe_replication_groups=self.group,
                describe_cache_clusters=in_turn({"CacheClusters": []}),
            ),
            "service-quotas": scripted("service-quotas", get_service_quota=in_turn({"Quota": {"Value": 200.0}})),
            "ec2": scripted(
                "ec2",
                describe_vpcs=in_turn({"Vpcs": []}),
                describe_addresses=in_turn({"Addresses": []}),
                describe_nat_gateways=in_turn({"NatGateways": [{"NatGatewayId": "nat-1", "State": "deleted"}]}),
                describe_network_interfaces=interfaces,
            ),
            "lambda": scripted(
                "lambda",
                invoke=audit,
                get_account_settings=in_turn({"AccountLimit": {"UnreservedConcurrentExecutions": 1000}}),
            ),
            "pricing": scripted("pricing", get_products=in_turn(refuse("AccessDeniedException", "no prices"))),
            "cloudwatch": scripted("cloudwatch", get_metric_data=metric_data),
            "ecs": scripted("ecs", list_tasks=in_turn({"taskArns": [TASK]}), describe_tasks=in_turn({"tasks": [task]})),
            "ssm": scripted("ssm", start_session=in_turn(session)),
            "elbv2": scripted("elbv2", describe_load_balancers=in_turn({"LoadBalancers": []})),
            "resourcegroupstaggingapi": scripted("resourcegroupstaggingapi", get_resources=tagged),
        }

    def cloud(self, region: str | None, profile: str | None = None) -> Cloud:
        """In place of the Cloud of an account."""
        assert profile is None
        return Cloud(region, clients=self.clients(), clock=self.clock, sleep=self.clock.sleep)

    # Pulumi

    def open_stack(self, *, stack_name: str, work_dir: str) -> "FakeStack":
        """In place of automation.select_stack and create_or_select_stack."""
        assert (stack_name, Path(work_dir)) == ("dev", ROOT)
        return FakeStack(self)


class FakeStack:
    """As much of automation.Stack as the experiment uses."""

    def __init__(self, world: World) -> None:
        self._world = world

    def get_all_config(self) -> dict[str, automation.ConfigValue]:
        """`pulumi config`."""
        return {key: automation.ConfigValue(value) for key, value in self._world.config.items()}

    def set_config(self, key: str, value: automation.ConfigValue) -> None:
        """`pulumi config set`."""
        self._world.engine_calls.append(f"set {key} {value.value}")
        self._world.config[f"{stack_settings.project_name(ROOT)}:{key}"] = value.value

    def up(self, *, target: list[str] | None = None, **_: Any) -> Any:
        """`pulumi up`: a changed shardCount asks ElastiCache for a change."""
        world = self._world
        world.engine_calls.append(" ".join(["up", *(target or ())]))
        world.deployed = True
        world.keeps_results = world.config.get(f"{stack_settings.project_name(ROOT)}:keepResults", "true") == "true"
        wanted = int(world.config.get(f"{stack_settings.project_name(ROOT)}:shardCount", "1"))
        if wanted != world.shards and world.asked_at is None:
            world.asked_at = world.clock.now
        if (error := world.up_fails.get(world.engine_calls.count("up"))) is not None:
            raise error
        summary: Any = type("Summary", (), {"resource_changes": {"same": 80, "update": 2}})
        return type("Result", (), {"summary": summary})

    def refresh(self, **_: Any) -> None:
        """`pulumi refresh`."""
        self._world.engine_calls.append("refresh")

    def destroy(self, **_: Any) -> None:
        """`pulumi destroy`."""
        self._world.engine_calls.append("destroy")
        if self._world.destroy_fails is not None:
            raise self._world.destroy_fails
        self._world.deployed = False

    def export_stack(self) -> automation.Deployment:
        """`pulumi stack export`."""
        kept = {"retainOnDelete": True} if self._world.keeps_results else {}
        resources = [
            {"urn": "urn:bucket", "type": "aws:s3/bucket:Bucket", **kept},
            {"urn": "urn:vpc", "type": "aws:ec2/vpc:Vpc"},
        ]
        return automation.Deployment(3, {"resources": resources if self._world.deployed else []})

    def outputs(self) -> dict[str, automation.OutputValue]:
        """`pulumi stack output`."""
        if not self._world.deployed:
            return {}
        values = {
            "resultsBucket": BUCKET,
            "cacheReplicationGroupId": GROUP,
            "functionName": "dev-session",
            "auditFunctionName": "dev-audit",
            "functionLogGroup": "/dev/session",
            "albDnsName": "internal-dev",
            "ecsCluster": "dev-load",
            "masterService": "dev-master",
            "workerService": "dev-worker",
            "vpcId": "vpc-1",
        }
        return {name: automation.OutputValue(value, secret=False) for name, value in values.items()}


def failed_command(text: str) -> automation.CommandError:
    """The Pulumi CLI ended with this on its standard error."""
    return automation.CommandError(automation.CommandResult(stdout="", stderr=text, code=255))


@contextmanager
def web_port(world: World, programs: Path) -> Generator[None]:
    """The master's web port, and the plugin that reaches it, which goes into `programs`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            world.requests.append((self.path, None))
            if self.path == "/stats/requests":
                self._reply(
                    {"state": "ready", "workers": [{"id": str(n), "state": "ready"} for n in range(world.workers)]}
                )
            else:
                self._reply({"state": world.state, "workers": 0})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            world.requests.append((self.path, body))
            self._reply(world.swarm() if self.path == "/swarm" else {"t_s": 1.0})

        def _reply(self, value: dict[str, Any]) -> None:
            data = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
            del format, args

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    plugin = programs / "session-manager-plugin"
    plugin.write_text(PLUGIN.format(python=sys.executable, port=server.server_address[1]))
    plugin.chmod(0o755)
    pulumi = programs / "pulumi"
    pulumi.write_text("#!/bin/sh\nexit 1\n")  # only looked for, never run: the Automation API is mocked
    pulumi.chmod(0o755)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def outside(world: World, programs: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """A world in the place of AWS, Docker, SSM and Pulumi; its programs lie in the folder `programs`."""
    programs.mkdir(exist_ok=True)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setattr(aws_stack, "Cloud", world.cloud)
    monkeypatch.setattr(automation, "select_stack", world.open_stack)
    monkeypatch.setattr(automation, "create_or_select_stack", world.open_stack)
    with docker_daemon() as docker_host, web_port(world, programs):
        monkeypatch.setenv("DOCKER_HOST", docker_host)
        yield
