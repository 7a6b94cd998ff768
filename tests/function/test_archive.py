"""The archive that Lambda gets: `function/` and `redis/`, and the standard library."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from function.cache_settings import CacheSettings
from rehearsal.cluster import Cluster
from tests.function.support import environment

_INVOKE = """
import json, sys
sys.path.insert(0, sys.argv[1])
import importlib, types
context = types.SimpleNamespace(aws_request_id="1-2-3", get_remaining_time_in_millis=lambda: 5000)
for name, event in json.loads(sys.argv[2]):
    module, _, function = name.rpartition(".")
    print(json.dumps(getattr(importlib.import_module(module), function)(event, context)))
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)))
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive's contents in a folder of their own."""
    root = tmp_path_factory.mktemp("archive")
    unwanted = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(redis.__file__).parent, root / "redis", ignore=unwanted)
    shutil.copytree(Path("function"), root / "function", ignore=unwanted)
    return root


def test_the_archive_needs_nothing_but_the_standard_library(archive: Path, cluster: Cluster) -> None:
    """An import that only works because of what is installed here would fail in Lambda, at the first invocation."""
    cache = CacheSettings("127.0.0.1", cluster.primaries[0].port)
    session = "6f8bb0c5-9b0e-4b1e-8f57-0c5b2d0a9f11"
    events = [["function.handler.handler", {"headers": {}}], ["function.audit.handler", {"sessions": [session]}]]
    ran = subprocess.run(
        [sys.executable, "-I", "-S", "-c", _INVOKE, str(archive), json.dumps(events)],
        env=environment(cache) | {"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    ecl, response, audited, answer, modules = lines
    assert ecl["type"] == "ECL"
    assert ecl["cold"]
    assert response["statusCode"] == 200
    assert audited["type"] == "AUDIT"
    assert {"checked": 1, "missing": [session], "different": []} == answer
    assert {"function", "redis"} == set(modules) - {"__main__"}


def _in_archive(archive: Path, code: str) -> str:
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, sys.argv[1]); {code}", str(archive)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


def test_the_cold_import_leaves_out_what_is_not_used(archive: Path) -> None:
    """Its asyncio half would cost time in each cold start, and needs async_timeout on Python 3.11.0 to 3.11.2."""
    count = "; print(len(sys.modules), 'redis.asyncio' in sys.modules, 'redis.cluster' in sys.modules)"
    ours = _in_archive(archive, "import function.handler, function.audit" + count).split()
    alone = _in_archive(archive, "import redis.connection" + count).split()
    assert ours[1:] == ["False", "False"]
    assert int(ours[0]) < int(alone[0])


def test_redis_is_whole_for_whoever_asks_for_it(archive: Path) -> None:
    """The rehearsal and these tests use `import redis` in processes that have imported the function before."""
    code = "import function.handler, redis; print(redis.Redis.__name__, redis.crc.key_slot(b'x'))"
    assert _in_archive(archive, code).split() == ["Redis", "16287"]
    late = "import function.handler; from redis import RedisCluster; import redis.asyncio; print(RedisCluster.__name__)"
    assert _in_archive(archive, late) == "RedisCluster\n"
