"""Changing shardCount alone changes the cluster and the dashboard; changing nothing changes nothing."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.output import Unknown

from infra import settings
from tests.infra.program import Program, declare, run

# How AWS's provider treats a changed input of the replication group: these replace it, and lose its data.
REPLACING = {"replicationGroupId", "subnetGroupName", "port", "atRestEncryptionEnabled", "kmsKeyId", "networkType"} | {
    "dataTieringEnabled", "snapshotName", "snapshotArns", "engine", "engineVersion", "nodeGroupConfigurations",
}  # fmt: skip


def comparable(value: Any) -> Any:
    """Inputs as Pulumi compares them: archives by the names and contents of their files."""
    match value:
        case pulumi.AssetArchive():
            return {name: comparable(asset) for name, asset in sorted(value.assets.items())}
        case pulumi.FileAsset():
            return hashlib.sha256(Path(value.path).read_bytes()).hexdigest()
        case dict():
            return {key: comparable(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType] - any JSON
        case list():
            return [comparable(item) for item in value]  # pyright: ignore[reportUnknownVariableType] - any JSON
        case _:
            return value


def changes(before: Program, after: Program) -> dict[str, set[str]]:
    """The inputs that differ, by URN; a resource that is only in one of them has the change "exists"."""
    differ: dict[str, set[str]] = {}
    for urn in before.resources.keys() | after.resources.keys():
        if urn not in before.resources or urn not in after.resources:
            differ[urn] = {"exists"}
            continue
        old, new = before.resources[urn].inputs, after.resources[urn].inputs
        keys = {key for key in old.keys() | new.keys() if comparable(old.get(key)) != comparable(new.get(key))}
        if keys:
            differ[urn] = keys
    return differ


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 1)])
def test_a_reshard_touches_only_the_cache_and_the_dashboard(before: int, after: int) -> None:
    """No build, no new task, no new function while the load runs: anything else would be measured as well."""
    changed = {urn.rsplit(":", 3)[1]: keys for urn, keys in changes(*map(_with_shards, (before, after))).items()}
    assert changed == {"ReplicationGroup": {"numNodeGroups"}, "Dashboard": {"dashboardBody"}}


def _with_shards(count: int) -> Program:
    return declare(shardCount=count)


def test_a_reshard_replaces_nothing() -> None:
    """No changed input is one that makes AWS's provider replace the group, and what would fix the layout is unset."""
    group = declare().one("elasticache.ReplicationGroup")
    assert changes(declare(shardCount=1), declare(shardCount=2))[group.urn].isdisjoint(REPLACING)
    for unset in ("nodeGroupConfigurations", "numCacheClusters", "preferredCacheClusterAzs", "replicationGroupId"):
        assert unset not in group.inputs, unset
    assert group.inputs["applyImmediately"] is True
    assert group.inputs["autoMinorVersionUpgrade"] is False
    assert group.timeouts["update"] == "2h"


def reached(program: Program) -> set[str]:
    """The names of the resources with an input that the preview does not know."""

    def unknown(value: Any) -> bool:
        if isinstance(value, dict):
            return any(unknown(item) for item in value.values())  # pyright: ignore[reportUnknownVariableType] - any JSON
        if isinstance(value, list):
            return any(unknown(item) for item in value)  # pyright: ignore[reportUnknownVariableType] - any JSON
        return isinstance(value, Unknown)

    return {resource.name for resource in program if unknown(resource.inputs)}


def test_nothing_depends_on_the_member_clusters() -> None:
    """The one output that a shard change makes unknown must reach nothing else: the node names are computed."""
    config = settings.as_config(settings.defaults())
    preview = run(config, unknown={"ReplicationGroup": "memberClusters"})
    assert reached(preview) == set()
    assert preview.exports
    endpoint = run(config, unknown={"ReplicationGroup": "configurationEndpointAddress"})
    assert reached(endpoint) == {"dev-session", "dev-audit"}  # an output that is used is seen


def test_a_second_run_changes_nothing() -> None:
    """Nothing in the program depends on the time, on chance or on the order of a set."""
    first = declare()
    again = declare(shardCount="1")  # the same settings in other words, so that it is really run again
    assert first is not again
    assert changes(first, again) == {}


def test_another_checkout_and_umask_change_nothing(tmp_path: Path) -> None:
    """A colleague's checkout, made with another umask, declares the same archive and the same build context."""
    copy = tmp_path / "elsewhere"
    for folder in ("function", "locust", "contract", "recorder", "infra"):
        shutil.copytree(settings.ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for path in copy.rglob("*"):
        path.chmod(0o775 if path.is_dir() else 0o664)
        os.utime(path, (0, 0))
    (copy / "function" / "__pycache__").mkdir()
    (copy / "function" / "__pycache__" / "handler.cpython-311.pyc").write_bytes(b"bytecode")
    report = (
        "import hashlib, os, sys; os.umask(int(sys.argv[1], 8));"
        "from infra.archive import function_files; from infra.context import CONTEXT, ROOT as root, stage;"
        "stage(); stage();"
        "print([(n, hashlib.sha256(p.read_bytes()).hexdigest()) for n, p in function_files().items()]);"
        "print(sorted((p.relative_to(root).as_posix(), oct(p.stat().st_mode),"
        " p.is_file() and hashlib.sha256(p.read_bytes()).hexdigest()) for p in (root / CONTEXT).rglob('*')))"
    )
    here = tmp_path / "here"
    for folder in ("function", "locust", "contract", "recorder", "infra"):
        shutil.copytree(settings.ROOT / folder, here / folder, ignore=shutil.ignore_patterns("__pycache__"))
    seen = [
        subprocess.run(
            [sys.executable, "-c", report, umask], cwd=root, check=True, capture_output=True, text=True
        ).stdout
        for root, umask in ((here, "022"), (copy, "002"), (copy, "077"))
    ]
    assert "function/handler.py" in seen[0]
    assert "locust/locustfile.py" in seen[0] or not (settings.ROOT / "locust" / "locustfile.py").exists()
    assert seen[0] == seen[1] == seen[2]
