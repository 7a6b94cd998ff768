"""The real Pulumi engine runs the real program: deploy, reshard, deploy again, destroy."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.engine import LocalEngine, copy_checkout, docker_daemon

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(
        shutil.which("pulumi") is None, reason="needs Pulumi's CLI on PATH: https://www.pulumi.com/docs/install"
    ),
]

UP = ("up", "--yes", "--skip-preview", "--stack", "test")


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    """A backend without stacks."""
    with tempfile.TemporaryDirectory(prefix="engine-") as folder, docker_daemon() as docker_host:
        yield LocalEngine(Path(folder) / "engine", docker_host)


def kinds(operations: list[dict[str, object]]) -> list[tuple[object, str]]:
    """(operation, type) of each, sorted."""
    return sorted((o["op"], str(o["urn"]).split("::")[2].rsplit(":", 1)[1]) for o in operations)  # type: ignore[type-var] # pyright: ignore[reportArgumentType] - both are text


def counts(output: str) -> dict[str, int]:
    """The engine's closing lines: {"created": 80}, {"update": 2, "unchanged": 78}."""
    return {what: int(number) for number, what in re.findall(r"^ +[-+~]* *(\d+) (?:to )?(\w+)$", output, re.MULTILINE)}


def test_deploy_reshard_deploy_destroy(engine: LocalEngine, tmp_path: Path) -> None:
    """Only cluster and dashboard change with shardCount, nothing changes without a change, and all goes again."""
    checkout = copy_checkout(tmp_path / "checkout")
    assert engine.run(checkout, "stack", "init", "test")[0] == 0
    engine.run(checkout, "config", "set", "aws:region", "eu-west-1", "--stack", "test")

    status, output = engine.run(checkout, *UP)
    assert status == 0, output
    created = engine.operations()
    assert {operation["op"] for operation in created} == {"create"}
    total = counts(output)["created"]  # the components and the stack too
    assert total > len(created)

    engine.run(checkout, "config", "set", "shardCount", "2", "--stack", "test")
    status, output = engine.run(checkout, "preview", "--stack", "test", "--diff")
    assert status == 0, output
    assert counts(output) == {"update": 2, "unchanged": total - 2}
    status, output = engine.run(checkout, *UP)
    assert status == 0, output
    resharded = engine.operations()
    assert kinds(resharded) == [("update", "Dashboard"), ("update", "ReplicationGroup")]
    assert {tuple(operation["changed"]) for operation in resharded} == {("numNodeGroups",), ("dashboardBody",)}

    elsewhere = copy_checkout(tmp_path / "elsewhere", checkout)
    shutil.copyfile(checkout / "Pulumi.test.yaml", elsewhere / "Pulumi.test.yaml")
    for path in [elsewhere, *elsewhere.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o775 if path.is_dir() else 0o664)
    for place, umask in ((checkout, 0o022), (elsewhere, 0o002)):
        status, output = engine.run(place, *UP, umask=umask)
        assert status == 0, output
        assert engine.operations() == [], f"from {place}"

    # AWS would refuse it in the middle of the update; the hook refuses it in the preview.
    engine.run(checkout, "config", "set", "transitEncryption", "true", "--stack", "test")
    status, output = engine.run(checkout, "up", "--yes", "--stack", "test")
    assert status != 0
    assert "transitEncryption: true is not allowed on a cluster that was made with false" in output
    assert engine.operations() == []

    assert left_by_destroy(engine, checkout, created) == {"Results"}


def left_by_destroy(engine: LocalEngine, checkout: Path, created: list[dict[str, object]]) -> set[str]:
    """The components of whatever `pulumi destroy` does not delete of what was created."""
    status, output = engine.run(checkout, "destroy", "--yes", "--skip-preview", "--stack", "test")
    assert status == 0, output
    kept = {o["urn"] for o in created} - {o["urn"] for o in engine.operations()}
    return {str(urn).split("::")[2].split("$")[0].rsplit(":", 1)[1] for urn in kept}


def test_a_kept_bucket(engine: LocalEngine, tmp_path: Path) -> None:
    """A destroy goes by what the last `up` declared of the bucket; the next `up` makes another bucket."""
    checkout = copy_checkout(tmp_path / "checkout")
    assert engine.run(checkout, "stack", "init", "test")[0] == 0
    engine.run(checkout, "config", "set", "aws:region", "eu-west-1", "--stack", "test")

    def up() -> tuple[str, list[dict[str, object]]]:
        status, output = engine.run(checkout, *UP)
        assert status == 0, output
        operations = engine.operations()
        assert {operation["op"] for operation in operations} == {"create"}
        return engine.run(checkout, "stack", "output", "resultsBucket", "--stack", "test")[1].strip(), operations

    first, created = up()
    engine.run(checkout, "config", "set", "keepResults", "false", "--stack", "test")
    assert left_by_destroy(engine, checkout, created) == {"Results"}
    second, created_again = up()
    assert first.startswith("test-results-")
    assert second.startswith("test-results-")
    assert first != second
    assert {o["urn"] for o in created_again} == {o["urn"] for o in created}
    assert left_by_destroy(engine, checkout, created_again) == set()


def test_users_tls_and_a_budget(engine: LocalEngine, tmp_path: Path) -> None:
    """What only settings declare goes up, stays as it is in the reshard and in an `up` without a change, and goes."""
    checkout = copy_checkout(tmp_path / "checkout")
    assert engine.run(checkout, "stack", "init", "test")[0] == 0
    settings = {"transitEncryption": "true", "cacheUsername": "app", "budgetUsd": "100", "keepResults": "false"}
    for name, value in {"aws:region": "eu-west-1", "budgetEmail": "me@example.com", **settings}.items():
        assert engine.run(checkout, "config", "set", name, value, "--stack", "test")[0] == 0
    password = "correct-horse-battery"
    assert engine.run(checkout, "config", "set", "--secret", "cachePassword", password, "--stack", "test")[0] == 0

    status, output = engine.run(checkout, *UP)
    assert status == 0, output
    assert password not in output
    created = engine.operations()
    made = [kind for operation, kind in kinds(created) if operation == "create"]
    assert [made.count(kind) for kind in ("User", "UserGroup")] == [2, 1]
    assert "Budget" in made
    status, exported = engine.run(checkout, "stack", "export", "--stack", "test")
    assert status == 0
    assert password not in exported

    engine.run(checkout, "config", "set", "shardCount", "2", "--stack", "test")
    for expected in ([("update", "Dashboard"), ("update", "ReplicationGroup")], []):
        status, output = engine.run(checkout, *UP)
        assert status == 0, output
        assert kinds(engine.operations()) == expected
    assert left_by_destroy(engine, checkout, created) == set()


def test_refusals(engine: LocalEngine, tmp_path: Path) -> None:
    """What is wrong with settings and machine is said at once, without a stack trace, and nothing is created."""
    checkout = copy_checkout(tmp_path / "checkout")
    assert engine.run(checkout, "stack", "init", "test")[0] == 0
    for name, value in (("shardCoutn", "2"), ("loadScale", "fast"), ("retentionDays", "31")):
        assert engine.run(checkout, "config", "set", name, value, "--stack", "test")[0] == 0
    engine.run(checkout, "config", "set", "cachePassword", "correct-horse-battery", "--stack", "test")
    status, output = engine.run(checkout, *UP, DOCKER_HOST=f"unix://{tmp_path}/none.sock")
    assert status != 0
    for named in (
        "shardCoutn: there is no such setting; did you mean shardCount?",
        'loadScale: "fast" is not allowed',
        'retentionDays: "31" is not allowed',
        "cacheUsername: it is empty",
        "cachePassword: it is in the stack file unencrypted",
        "aws:region: not set",
        "Docker: no daemon at unix://",
    ):
        assert named in output, named
    assert "Traceback" not in output
    assert engine.operations() == []
