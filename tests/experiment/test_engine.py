"""The experiment with the real Pulumi CLI, and stand-ins where AWS and Docker would be."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from pulumi import automation

from experiment.aws.engine import Engine
from experiment.errors import StepError, UsageError
from tests.infra import engine as real
from tests.infra.engine import copy_checkout, docker_daemon

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        shutil.which("pulumi") is None, reason="needs Pulumi's CLI on PATH: https://www.pulumi.com/docs/install"
    ),
]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout, a local backend of its own and stand-in providers, as the environment of this process."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder, docker_daemon() as docker_host:
        prepared = real.LocalEngine(Path(folder) / "engine", docker_host)
        for name in os.environ:
            monkeypatch.delenv(name)
        for name, value in prepared.environment.items():
            monkeypatch.setenv(name, value)
        yield copy_checkout(tmp_path / "checkout")


def test_deploy_reshard_and_destroy_through_the_automation_api(checkout: Path) -> None:
    """What `run` asks of Pulumi works with the CLI itself: exports, settings, one changed setting, two updates."""
    said: list[str] = []
    engine = Engine(checkout, "test", said.append)
    with pytest.raises(UsageError, match="Pulumi knows no such stack"):
        Engine(checkout, "absent").open()
    engine.open(create=True).set_config("aws:region", automation.ConfigValue("eu-west-1"))
    assert engine.region() == ("eu-west-1", None)
    assert engine.settings().shard_count == 1
    assert engine.exports() == {}

    created = engine.up()
    assert created["create"] > 50
    exports = engine.exports()
    assert {"resultsBucket", "cacheReplicationGroupId", "auditFunctionName", "ecsCluster", "masterService"} <= set(
        exports
    )
    assert any("creating" in line or "created" in line for line in said)

    engine.set("shardCount", 2)
    assert engine.settings().shard_count == 2
    changes = engine.up()
    assert changes["update"] == 2
    assert set(changes) == {"update", "same"}

    engine.set("shardCount", 999)
    with pytest.raises(UsageError, match='shardCount: "999" is not allowed'):
        Engine(checkout, "test").settings()
    with pytest.raises(StepError, match="shardCount"):
        engine.up()

    engine.set("shardCount", 2)
    engine.set("keepResults", "false")
    kept = engine.retained("aws:s3/")
    assert len(kept) > 1
    assert all(kept.values())
    assert engine.up(only=sorted(kept))["update"] == 1
    assert not any(engine.retained("aws:s3/").values())
    engine.destroy()
    assert engine.exports() == {}
    assert engine.retained("aws:") == {}
