"""Real Locust masters that write to an S3 of this machine: ended in order, by ECS's SIGTERM, and without a word."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer

from experiment.aws.bucket import RunBucket
from experiment.aws.cloud import Cloud
from tests.locust.swarm import LOCUST, ROOT, Written, counting_server, free_port, wait_for

BUCKET = "results"
PROFILE = "phases:\n  - name: Steady\n    duration: 90\n    arrivalRate: 60\n"


class Account:
    """An S3 of this machine, and masters that use it."""

    def __init__(self, folder: Path, url: str, endpoint: str) -> None:
        self.folder = folder
        self.url = url
        self.endpoint = endpoint
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder / "locust.log"
        self.s3: Any = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="eu-west-1",
            aws_access_key_id="a",
            aws_secret_access_key="b",
        )
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        (folder / "load.yml").write_text(PROFILE)

    def master(self, run_dir: Path) -> "subprocess.Popen[bytes]":
        """A master that is its own worker, and starts by itself as on AWS with loadAutostart."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("LOAD_", "LOCUST_", "AWS_"))}
        environment = kept | {
            "AWS_ENDPOINT_URL": self.endpoint, "AWS_REGION": "eu-west-1",
            "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b",
            "LOAD_RESULTS_BUCKET": BUCKET, "LOAD_STACK": "dev", "LOAD_AUTOSTART": "true", "LOAD_WORKERS": "1",
            "LOAD_PROFILE": str(self.folder / "load.yml"), "LOAD_SCALE": "1", "LOAD_RUN_DIR": str(run_dir),
        }  # fmt: skip
        web = ["--web-host", "127.0.0.1", "--web-port", str(free_port()), "--host", f"{self.url}/"]
        with self.log.open("ab") as log:
            process = subprocess.Popen([*LOCUST, *web], cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def json(self, key: str) -> dict[str, Any]:
        """A small object of the bucket."""
        content: dict[str, Any] = json.loads(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        return content

    def sent_seconds(self, run: str) -> int:
        """The last planned second that the bucket has."""
        return RunBucket(Cloud("eu-west-1", clients={"s3": self.s3}), BUCKET).progress(run).t_s


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """The servers, and an end for every master."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line for every request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        with counting_server() as url:
            account = Account(tmp_path, url, f"http://{host}:{port}")
            yield account
            sys.stdout.write(account.log.read_text()[-8000:])
            for process in account.processes:
                if process.poll() is None:
                    process.kill()
                process.wait()
    finally:
        server.stop()


def test_a_stopped_task_flushes_and_a_master_after_a_dead_one_starts_nothing(account: Account, tmp_path: Path) -> None:
    """SIGTERM loses nothing; SIGKILL loses seconds; and no master repeats a load that another one began."""
    first = account.master(tmp_path / "one")
    wait_for("five seconds in the bucket", lambda: account.sent_seconds("one") >= 5, 40)
    first.send_signal(signal.SIGTERM)
    first.wait(60)
    written = Written(tmp_path / "one")
    written.check_books()
    assert written.run["ended"] == "interrupted"
    assert account.json("runs/one/evidence.json")["whole"] is True
    assert account.json("markers/current-dev.json")["ended"] == "closed"
    missing = RunBucket(Cloud("eu-west-1", clients={"s3": account.s3}), BUCKET).fetch("one", tmp_path / "collected")
    assert missing == []
    for name in ("seconds.csv", "latency.hlog", "sessions.bin", "events.jsonl", "run.json"):
        assert (tmp_path / "collected" / name).read_bytes() == (tmp_path / "one" / name).read_bytes(), name
    lines = [line for line in account.log.read_text().splitlines() if line.startswith('{"_aws"')]
    offered = [count for line in lines for count in json.loads(line)["Offered"]]
    assert offered == [row["offered"] for row in written.seconds]

    second = account.master(tmp_path / "two")
    wait_for("its refusal", lambda: "started by itself before" in account.log.read_text(), 40)
    second.kill()
    assert not (tmp_path / "two").exists()

    # A run that a person starts, and whose master dies without a word.
    marker = account.json("markers/current-dev.json")
    account.s3.put_object(
        Bucket=BUCKET, Key="markers/current-dev.json", Body=json.dumps({**marker, "ended": None}).encode()
    )
    third = account.master(tmp_path / "three")
    wait_for("its refusal", lambda: "ended without closing its run" in account.log.read_text(), 40)
    third.kill()
    assert not (tmp_path / "three").exists()
    assert "noticed_at" in account.json("runs/one/abandoned.json")
