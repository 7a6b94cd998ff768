"""How each generator is asked for the same load, and how its own account of it is read.

Every function takes a `Wanted` and gives the command, and how to read what came out: replies, good ones, and latency
percentiles in ms as that tool measures them. A tool that is not installed is left out; one that cannot hold a planned
rate (ab: as fast as it goes; Locust's users wait for their replies) says so in its note.
"""

import json
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

Phase = tuple[float, float, float]  # seconds, rate at its start, rate at its end


@dataclass(frozen=True)
class Wanted:
    """The load to send."""

    url: str
    phases: tuple[Phase, ...]
    keep_alive: bool
    folder: Path

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return sum(seconds for seconds, _, _ in self.phases)

    @property
    def arrivals(self) -> int:
        """How many arrivals it offers."""
        return round(sum(seconds * (start + end) / 2 for seconds, start, end in self.phases))

    @property
    def constant(self) -> bool:
        """One phase at one rate."""
        return len(self.phases) == 1 and self.phases[0][1] == self.phases[0][2]

    @property
    def rate(self) -> int:
        """The rate of a constant load."""
        return round(self.phases[0][1])

    def profile(self) -> str:
        """The phases in Artillery's syntax."""
        return "phases:\n" + "".join(
            f"  - duration: {seconds:g}\n    arrivalRate: {start:g}\n    rampTo: {end:g}\n"
            for seconds, start, end in self.phases
        )


@dataclass(frozen=True)
class Told:
    """A tool's own account."""

    done: int
    good: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None


@dataclass(frozen=True)
class Job:
    """A command, and how to read its account once it ended."""

    command: list[str]
    read: Callable[[str], Told]
    output: Path | None = None  # where its standard output goes, if that is data


@dataclass(frozen=True)
class Tool:
    """A generator."""

    name: str
    program: str
    job: Callable[[Wanted], Job]
    note: str
    ramps: bool

    def found(self) -> bool:
        """Whether it is installed."""
        return shutil.which(self.program) is not None


def arrivals(wanted: Wanted) -> Job:
    """This project's, as a user runs it: one Locust process, headless."""
    (wanted.folder / "load.yml").write_text(wanted.profile())
    run_dir = wanted.folder / "run"

    def read(_: str) -> Told:
        run = json.loads((run_dir / "run.json").read_text())
        found = _series(run_dir)
        (p50, p99), (lag50, lag99) = found["service"], found["lag"]
        return Told(run["totals"]["sent"], run["totals"]["ok"], p50, p99, lag50, lag99)

    options = ["--load-profile", str(wanted.folder / "load.yml"), "--load-scale", "1", "--run-dir", str(run_dir)]
    connection = "keep-alive" if wanted.keep_alive else "new"
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locust" / "locustfile.py"), "--headless"]
    return Job([*command, "--only-summary", "--host", wanted.url, "--load-connection", connection, *options], read)


def _series(run_dir: Path) -> dict[str, tuple[float, float]]:
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - only this tool's account needs it

    merged: dict[str, Any] = {}
    for line in (run_dir / "latency.hlog").read_text().splitlines():
        if match := re.match(r"Tag=(\w+),[\d.]+,[\d.]+,[\d.]+,(.*)", line):
            histogram = HdrHistogram.decode(match[2])
            if match[1] in merged:
                merged[match[1]].add(histogram)
            else:
                merged[match[1]] = histogram
    return {
        tag: (found.get_value_at_percentile(50) / 1000, found.get_value_at_percentile(99) / 1000)
        for tag, found in merged.items()
    }


def bare(wanted: Wanted) -> Job:
    """The floor: `benchmarks/bare.py`."""
    code = (
        "import json, sys; from benchmarks.bare import run; from contract.profiles import parse\n"
        "from urllib.parse import urlsplit; u = urlsplit(sys.argv[1])\n"
        "print(json.dumps(run(parse(sys.argv[2]), u.hostname, u.port)))"
    )

    def read(output: str) -> Told:
        told = json.loads(output)
        services, lags = told["service_us"], told["lag_us"]
        return Told(
            len(services), told["ok"], _at(services, 50), _at(services, 99), _at(lags, 50), _at(lags, 99)
        )  # fmt: skip

    return Job([sys.executable, "-c", code, wanted.url, wanted.profile()], read)


def _at(ordered_us: list[int], percentile: int) -> float:
    return ordered_us[min(len(ordered_us) - 1, len(ordered_us) * percentile // 100)] / 1000


def artillery(wanted: Wanted) -> Job:
    """Artillery 2, as the original: a virtual user per arrival; `pool` is its way to keep connections."""
    pool = "  http:\n    pool: 20\n" if wanted.keep_alive else ""
    phases = "\n".join(f"  {line}" for line in wanted.profile().splitlines())
    script = wanted.folder / "artillery.yml"
    script.write_text(
        f"config:\n  target: {wanted.url}\n{pool}{phases}\nscenarios:\n  - flow:\n      - get:\n          url: /\n"
    )
    out = wanted.folder / "artillery.json"

    def read(_: str) -> Told:
        told = json.loads(out.read_text())["aggregate"]
        counters, latency = told["counters"], told["summaries"].get("http.response_time", {})
        done, good = counters.get("http.responses", 0), counters.get("http.codes.200", 0)
        return Told(done, good, latency.get("median"), latency.get("p99"))

    return Job(["artillery", "run", "--quiet", "--output", str(out), str(script)], read)


def k6(wanted: Wanted) -> Job:
    """k6 with its arrival-rate executors (an open model)."""
    if wanted.constant:
        shape: dict[str, Any] = {
            "executor": "constant-arrival-rate",
            "rate": wanted.rate,
            "timeUnit": "1s",
            "duration": f"{wanted.seconds:g}s",
        }
    else:
        stages: list[dict[str, Any]] = []
        for seconds, start, end in wanted.phases:
            stages += [{"target": round(start), "duration": "0s"}, {"target": round(end), "duration": f"{seconds:g}s"}]
        shape = {"executor": "ramping-arrival-rate", "startRate": 0, "timeUnit": "1s", "stages": stages}
    options = {
        "scenarios": {"s": {**shape, "preAllocatedVUs": 50, "maxVUs": 500}},
        "noConnectionReuse": not wanted.keep_alive,
        "noVUConnectionReuse": not wanted.keep_alive,
        "summaryTrendStats": ["p(50)", "p(99)"],
    }
    script, out = wanted.folder / "k6.js", wanted.folder / "k6.json"
    script.write_text(
        f"import http from 'k6/http';\nexport const options = {json.dumps(options)};\n"
        f"export default function () {{ http.get('{wanted.url}/'); }}\n"
    )

    def read(_: str) -> Told:
        metrics = json.loads(out.read_text())["metrics"]
        done = int(metrics["http_reqs"]["count"])
        failed = int(metrics.get("http_req_failed", {}).get("passes", 0))
        latency = metrics["http_req_duration"]
        return Told(done, done - failed, latency["p(50)"], latency["p(99)"])

    return Job(["k6", "run", "--quiet", "--summary-export", str(out), str(script)], read)


def vegeta(wanted: Wanted) -> Job:
    """vegeta, constant rate."""
    targets, out = wanted.folder / "targets", wanted.folder / "vegeta.bin"
    targets.write_text(f"GET {wanted.url}/\n")

    def read(_: str) -> Told:
        import subprocess  # noqa: PLC0415 - only here

        report = subprocess.run(["vegeta", "report", "-type=json", str(out)], capture_output=True, check=True)
        told = json.loads(report.stdout)
        good, latency = told["status_codes"].get("200", 0), told["latencies"]
        return Told(told["requests"], good, latency["50th"] / 1e6, latency["99th"] / 1e6)

    keep = f"-keepalive={'true' if wanted.keep_alive else 'false'}"
    load = [f"-rate={wanted.rate}/1s", f"-duration={wanted.seconds:g}s", keep]
    return Job(["vegeta", "attack", *load, f"-targets={targets}", f"-output={out}"], read)


def hey(wanted: Wanted) -> Job:
    """hey: ten workers that each keep a tenth of the rate, and wait for their replies."""
    options = ["-z", f"{wanted.seconds:g}s", "-c", "10", "-q", f"{wanted.rate / 10:g}"]

    def read(output: str) -> Told:
        done = sum(int(count) for count in re.findall(r"\[\d+\]\s+(\d+) responses", output))
        percentile = {key: float(value) * 1000 for key, value in re.findall(r"(\d+)%+ in ([\d.]+) secs", output)}
        return Told(done, done, percentile.get("50"), percentile.get("99"))

    return Job(["hey", *options, *([] if wanted.keep_alive else ["-disable-keepalive"]), f"{wanted.url}/"], read)


def ab(wanted: Wanted) -> Job:
    """ab: as many requests as fast as four connections go."""

    def read(output: str) -> Told:
        done = int(re.search(r"Complete requests:\s+(\d+)", output)[1])  # type: ignore[index] - a miss must fail loudly
        bad = re.search(r"Non-2xx responses:\s+(\d+)", output)
        p50 = re.search(r"50%\s+(\d+)", output)
        p99 = re.search(r"99%\s+(\d+)", output)
        return Told(
            done, done - (int(bad[1]) if bad else 0), float(p50[1]) if p50 else None, float(p99[1]) if p99 else None
        )  # fmt: skip

    options = ["-q", "-n", str(wanted.arrivals), "-c", "4", *(["-k"] if wanted.keep_alive else [])]
    return Job(["ab", *options, f"{wanted.url}/"], read)


LOCUSTFILE = """
from locust import FastHttpUser, constant_throughput, task


class Visitor(FastHttpUser):
    wait_time = constant_throughput(10)

    @task
    def visit(self):
        self.client.get("/"{headers})
"""


def fast_http_user(wanted: Wanted) -> Job:
    """Locust as its documentation has it: FastHttpUser, each with ten requests a second at most."""
    path = wanted.folder / "plain_locust.py"
    path.write_text(LOCUSTFILE.format(headers="" if wanted.keep_alive else ', headers={"Connection": "close"}'))
    out = wanted.folder / "plain"
    users = str(max(1, wanted.rate // 10))

    def read(_: str) -> Told:
        entry = json.loads(Path(f"{out}.json").read_text())[0]
        times = sorted((float(key), count) for key, count in entry["response_times"].items())
        done, failed = entry["num_requests"], entry["num_failures"]
        return Told(done, done - failed, _weighted(times, 0.5), _weighted(times, 0.99))

    command = [sys.executable, "-m", "locust", "-f", str(path), "--headless", "--only-summary", "--host", wanted.url]
    options = ["-u", users, "-r", users, "-t", f"{wanted.seconds:g}s", "--json-file", str(out)]
    return Job([*command, *options], read)


def _weighted(times: list[tuple[float, int]], share: float) -> float | None:
    wanted, seen = sum(count for _, count in times) * share, 0
    for value, count in times:
        seen += count
        if seen >= wanted:
            return value
    return None


TOOLS = (
    Tool("arrivals (this project)", "true", arrivals, "planned send times; latency is service time", ramps=True),
    Tool("bare epoll loop", "true", bare, "the floor: nothing but sockets", ramps=True),
    Tool("Artillery", "artillery", artillery, "the original's generator", ramps=True),
    Tool("k6", "k6", k6, "arrival-rate executor", ramps=True),
    Tool("vegeta", "vegeta", vegeta, "constant rate", ramps=False),
    Tool("hey", "hey", hey, "ten workers that wait for replies", ramps=False),
    Tool("ab", "ab", ab, "closed loop, as fast as it goes", ramps=False),
    Tool("Locust FastHttpUser", "true", fast_http_user, "users that wait for replies", ramps=False),
)
