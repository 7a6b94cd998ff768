"""Writes a benchmark's figures as JSON into benchmarks/results, with the same metadata whatever was measured."""

import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract.runfolder import iso_utc, machine

FOLDER = Path(__file__).parent / "results"


def save(name: str, began_unix_s: float, figures: Mapping[str, Any], **versions: str) -> Path:
    """Write what was measured so far; a later call for the same beginning replaces it. Returns the file."""
    result = {
        "benchmark": name,
        "command": shlex.join(sys.argv),
        "started_at": iso_utc(began_unix_s),
        "seconds": round(time.time() - began_unix_s, 1),
        "machine": machine(),
        "load_average": os.getloadavg(),
        "versions": {"python": platform.python_version(), **versions},
        **figures,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(began_unix_s))}.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    return path
