"""A Docker engine for the tests: the one that is running, or Debian's started by hand where that is possible."""

import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

BASE = "load-test-base"
SUITE = "trixie"  # Debian's release with Python 3.13, the version of the image's real base


@dataclass(frozen=True)
class Docker:
    """A command line client that can build with BuildKit, and the engine it talks to."""

    client: str
    host: str

    def run(self, *words: str, timeout_s: float = 240) -> str:
        """`docker WORDS`: its standard output; fails with its standard error."""
        done = subprocess.run(
            [self.client, *words],
            env=os.environ | {"DOCKER_HOST": self.host, "DOCKER_BUILDKIT": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout


def building_client() -> str | None:
    """A docker command that has BuildKit: built in before version 23, a plugin since."""
    for client in dict.fromkeys(filter(None, (shutil.which("docker"), "/usr/bin/docker"))):
        if not Path(client).exists():
            continue
        words = [client, "version", "--format", "{{.Client.Version}}"]
        version = subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
        plugin = subprocess.run([client, "buildx", "version"], capture_output=True, check=False)
        if plugin.returncode == 0 or (version and int(version.split(".")[0]) < 23):
            return client
    return None


def why_not() -> str | None:
    """Why no engine can be had here, or None."""
    client = building_client()
    if client is None:
        return "needs a docker client with BuildKit (Debian: apt-get install docker.io)"
    if _answers(client, os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")):
        return None
    if os.geteuid() != 0:
        return "needs a running Docker engine (or root, to start one)"
    missing = [name for name in ("dockerd", "debootstrap") if shutil.which(name) is None]
    return f"needs a running Docker engine, or {' and '.join(missing)} to start one" if missing else None


def _answers(client: str, host: str) -> bool:
    words = [client, "--host", host, "version", "--format", "{{.Server.Version}}"]
    return subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0


@contextmanager
def engine(folder: Path) -> Generator[Docker]:
    """The running engine, or one with its data in `folder` that ends with the test."""
    client = building_client()
    assert client is not None
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if _answers(client, host):
        yield Docker(client, host)
        return
    host = f"unix://{folder}/docker.sock"
    # No bridge and no firewall rules: containers use the host's network or none, and the machine stays as it was.
    words = ["dockerd", "--host", host, "--data-root", f"{folder}/data", "--exec-root", f"{folder}/exec"]
    words += ["--pidfile", f"{folder}/pid", "--bridge=none", "--iptables=false", "--ip6tables=false"]
    with (folder / "log").open("w") as log:
        daemon = subprocess.Popen([*words, "--storage-driver=overlay2"], stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 60
            while not _answers(client, host):
                alive = daemon.poll() is None and time.monotonic() < deadline
                assert alive, (folder / "log").read_text()[-2000:]
                time.sleep(0.2)
            yield Docker(client, host)
        finally:
            daemon.terminate()
            daemon.wait(timeout=60)
            # dockerd leaves the host's network namespace mounted, and the folder could not be removed.
            for mounted in (folder / "exec" / "netns").glob("*"):
                subprocess.run(["umount", str(mounted)], check=True)


def make_base(docker: Docker, folder: Path) -> str:
    """An image with Debian's Python 3.13 and pip, for where no image registry can be reached; its name.

    It trusts whom this machine trusts and installs packages the way this machine does.
    """
    if BASE in docker.run("images", "--format", "{{.Repository}}").split():
        return BASE
    root = folder / "root"
    include = "--include=ca-certificates,python3-minimal,python3-pip"
    words = ["debootstrap", "--variant=minbase", include, SUITE, str(root)]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout[-2000:]
    for path in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"):
        if Path(path).exists():
            shutil.copyfile(path, root / path[1:])
    with tarfile.open(folder / "root.tar", "w") as archive:
        archive.add(root, ".", filter=lambda member: None if member.name.startswith("./var/cache/apt") else member)
    docker.run("import", str(folder / "root.tar"), BASE)
    return BASE
