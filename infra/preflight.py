"""What the machine that deploys must have: a region to deploy to and a Docker daemon to build with."""

import configparser
import http.client
import os
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pulumi

DEFAULT_DOCKER_HOST = "unix:///var/run/docker.sock"


def machine_problems() -> list[str]:
    """What is missing on this machine, a line each."""
    problems = [region_problem(pulumi.Config("aws").get("region"), pulumi.Config("aws").get("profile"))]
    problems.append(docker_problem(os.environ.get("DOCKER_HOST") or DEFAULT_DOCKER_HOST))
    return [problem for problem in problems if problem]


def region_problem(configured: str | None, profile: str | None) -> str | None:
    """What to do when no region is set in any of the places that the AWS provider reads, else None."""
    if configured or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
        return None
    file = Path(os.environ.get("AWS_CONFIG_FILE") or Path.home() / ".aws" / "config")
    profile = profile or os.environ.get("AWS_PROFILE") or "default"
    section = "default" if profile == "default" else f"profile {profile}"
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(file, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        return f"aws:region: not set, and {file} cannot be read; run `pulumi config set aws:region eu-west-1`"
    if parser.has_option(section, "region"):
        return None
    return (
        "aws:region: not set, and neither AWS_REGION nor the AWS profile "
        f'"{profile}" names one; run `pulumi config set aws:region eu-west-1` (or your region)'
    )


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def docker_problem(host: str, timeout_s: float = 10.0) -> str | None:
    """What to start when no Docker daemon answers at `host`, else None.

    The Docker provider asks the daemon when it is configured, so preview, a changed shardCount and destroy need it as
    well as the build; without this check the provider's error comes after other resources were made. Only the provider
    can ask over TLS or ssh, so such hosts are not checked here.
    """
    start = "start Docker (Docker Desktop, or `sudo systemctl start docker`), or point DOCKER_HOST at a daemon"
    url = urlsplit(host)
    if url.scheme == "unix":
        connection: http.client.HTTPConnection = _UnixConnection(url.path, timeout_s)
    elif url.scheme in ("tcp", "http") and not os.environ.get("DOCKER_TLS_VERIFY"):
        connection = http.client.HTTPConnection(url.hostname or "localhost", url.port or 2375, timeout=timeout_s)
    else:
        return None
    try:
        connection.request("GET", "/_ping")
        answer = connection.getresponse()
        if answer.status == 200:
            return None
        result = f"answered {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        result = str(error) or type(error).__name__
    finally:
        connection.close()
    hint = " (`docker context` is not read here; DOCKER_HOST is)" if not os.environ.get("DOCKER_HOST") else ""
    return f"Docker: no daemon at {host}: {result}; {start}{hint}"
