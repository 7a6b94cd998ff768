"""A checkout's copy and the real Pulumi engine, with stand-ins where AWS and Docker would be."""

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.settings import ROOT

PARTS = ("Pulumi.yaml", "Pulumi.dev.yaml", "__main__.py", "infra", "function", "locust", "contract", "recorder")


def copy_checkout(target: Path, original: Path = ROOT) -> Path:
    """What a fresh clone holds of the program, with this interpreter's environment as its .venv."""
    target.mkdir(parents=True)
    for part in PARTS:
        source = original / part
        if source.is_dir():
            shutil.copytree(source, target / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source, target / part)
    (target / ".venv").symlink_to(sys.prefix)
    return target


class _Ping(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/_ping" else 404)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class names it so
        del format, args


@contextmanager
def docker_daemon() -> Generator[str]:
    """The address of something that answers like a Docker daemon that is asked whether it is there."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ping)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class LocalEngine:
    """The Pulumi CLI on a local backend of its own."""

    folder: Path
    docker_host: str

    def __post_init__(self) -> None:
        (self.folder / "backend").mkdir(parents=True)
        programs = self.folder / "bin"
        programs.mkdir()
        for package in ("aws", "docker"):
            program = programs / f"pulumi-resource-{package}"
            program.write_text(
                f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).with_name("standin.py")}" {package} "$@"\n'
            )
            program.chmod(0o755)
        self.log = self.folder / "operations.jsonl"
        self.log.touch()
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PULUMI_", "DOCKER_"))
        }
        self.environment = kept | {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'backend'}",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_CONFIG_PASSPHRASE": "made up for this test",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "AWS_CONFIG_FILE": str(self.folder / "no-such-file"),
            "DOCKER_HOST": self.docker_host,
            "STANDIN_LOG": str(self.log),
            "NO_COLOR": "1",
        }

    def run(self, checkout: Path, *words: str, umask: int = 0o022, **environment: str) -> tuple[int, str]:
        """`pulumi WORDS` in a checkout: exit status and output."""
        done = subprocess.run(
            ["pulumi", "--non-interactive", "--color", "never", *words],
            cwd=checkout,
            env=self.environment | environment,
            umask=umask,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=300,
            check=False,
        )
        return done.returncode, done.stdout

    def operations(self) -> list[dict[str, Any]]:
        """What was created, updated and deleted since this was last asked."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        self.log.write_text("")
        return [json.loads(line) for line in lines]
