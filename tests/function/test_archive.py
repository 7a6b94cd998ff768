"""The archive that Lambda gets: `function/` and `redis/`, and the standard library."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import redis

from function.environment import Cache
from rehearsal.cluster import Cluster as RealCluster
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


def test_the_archive_needs_nothing_but_the_standard_library(archive: Path, cluster: RealCluster) -> None:
    """An import that only works because of what is installed here would fail in Lambda, at the first invocation."""
    cache = Cache("127.0.0.1", cluster.primaries[0].port)
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
