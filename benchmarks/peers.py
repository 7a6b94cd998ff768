"""How to start each generator with the same load, and how to read its results.

Every function takes a `LoadSpec` and returns the command and a reader of its output: replies, good ones, and latency
percentiles in ms as that tool measures them. Tools that are not installed are left out. A tool that cannot keep a
planned rate (ab goes as fast as it can; Locust's users wait for their replies) says so in its note.
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

RampPhase = tuple[float, float, float]  # seconds, rate at its start, rate at its end


@dataclass(frozen=True)
class LoadSpec:
    """The load to send."""

    url: str
    phases: tuple[RampPhase, ...]
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
class ToolResult:
    """A tool's own results."""

    done: int
    good: int
    p50_ms: float | None = None
    p99_ms: float | None = None
    lag_p50_ms: float | None = None
    lag_p99_ms: float | None = None


@dataclass(frozen=True)
class Job:
    """A command, and how to read its results once it ended."""

    command: list[str]
    read: Callable[[str], ToolResult]
    output: Path | None = None  # where its standard output goes, if that is data


@dataclass(frozen=True)
class Tool:
    """A generator."""

    name: str
    program: str
    job: Callable[[LoadSpec], Job]
    note: str
    ramps: bool

    def installed(self) -> bool:
        """Whether it is installed."""
        return shutil.which(self.program) is not None


def arrivals(load: LoadSpec) -> Job:
    """This project's, as a user runs it: one Locust process, headless."""
    (load.folder / "load.yml").write_text(load.profile())
    run_dir = load.folder / "run"

    def read(_: str) -> ToolResult:
        run = json.loads((run_dir / "run.json").read_text())
        series = _series(run_dir)
        (p50, p99), (lag50, lag99) = series["service"], series["lag"]
        return ToolResult(run["totals"]["sent"], run["totals"]["ok"], p50, p99, lag50, lag99)

    options = ["--load-profile", str(load.folder / "load.yml"), "--load-scale", "1", "--run-dir", str(run_dir)]
    connection = "keep-alive" if load.keep_alive else "new"
    command = [sys.executable, "-m", "locust", "-f", str(ROOT / "locust" / "locustfile.py"), "--headless"]
    return Job([*command, "--only-summary", "--host", load.url, "--load-connection", connection, *options], read)


def _series(run_dir: Path) -> dict[str, tuple[float, float]]:
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - only this tool's results need it

    merged: dict[str, Any] = {}
    for line in (run_dir / "latency.hlog").read_text().splitlines():
        if match := re.match(r"Tag=(\w+),[\d.]+,[\d.]+,[\d.]+,(.*)", line):
            histogram = HdrHistogram.decode(match[2])
            if match[1] in merged:
                merged[match[1]].add(histogram)
            else:
                merged[match[1]] = histogram
    return {
        tag: (histogram.get_value_at_percentile(50) / 1000, histogram.get_value_at_percentile(99) / 1000)
        for tag, histogram in merged.items()
    }


def bare(load: LoadSpec) -> Job:
    """The floor: `benchmarks/bare.py`."""
    code = (
        "import json, sys; from benchmarks.bare import run; from contract.profiles import parse\n"
        "from urllib.parse import urlsplit; u = urlsplit(sys.argv[1])\n"
        "print(json.dumps(run(parse(sys.argv[2]), u.hostname, u.port)))"
    )

    def read(output: str) -> ToolResult:
        result = json.loads(output)
        services, lags = result["service_us"], result["lag_us"]
        return ToolResult(
            len(services), result["ok"], _at(services, 50), _at(services, 99), _at(lags, 50), _at(lags, 99)
        )  # fmt: skip

    return Job([sys.executable, "-c", code, load.url, load.profile()], read)


def _at(ordered_us: list[int], percentile: int) -> float:
    return ordered_us[min(len(ordered_us) - 1, len(ordered_us) * percentile // 100)] / 1000


def artillery(load: LoadSpec) -> Job:
    """Artillery 2, as the original: a virtual user per arrival; `pool` is its way to keep connections."""
    pool = "  http:\n    pool: 20\n" if load.keep_alive else ""
    phases = "\n".join(f"  {line}" for line in load.profile().splitlines())
    script = load.folder / "artillery.yml"
    script.write_text(
        f"config:\n  target: {load.url}\n{pool}{phases}\nscenarios:\n  - flow:\n      - get:\n          url: /\n"
    )
    out = load.folder / "artillery.json"

    def read(_: str) -> ToolResult:
        result = json.loads(out.read_text())["aggregate"]
        counters, latency = result["counters"], result["summaries"].get("http.response_time", {})
        done, good = counters.get("http.responses", 0), counters.get("http.codes.200", 0)
        return ToolResult(done, good, latency.get("median"), latency.get("p99"))

    return Job(["artillery", "run", "--quiet", "--output", str(out), str(script)], read)


def k6(load: LoadSpec) -> Job:
    """k6 with its arrival-rate executors (an open model)."""
    if load.constant:
        shape: dict[str, Any] = {
            "executor": "constant-arrival-rate",
            "rate": load.rate,
            "timeUnit": "1s",
            "duration": f"{load.seconds:g}s",
        }
    else:
        stages: list[dict[str, Any]] = []
        for seconds, start, end in load.phases:
            stages += [{"target": round(start), "duration": "0s"}, {"target": round(end), "duration": f"{seconds:g}s"}]
        shape = {"executor": "ramping-arrival-rate", "startRate": 0, "timeUnit": "1s", "stages": stages}
    options = {
        "scenarios": {"s": {**shape, "preAllocatedVUs": 50, "maxVUs": 500}},
        "noConnectionReuse": not load.keep_alive,
        "noVUConnectionReuse": not load.keep_alive,
        "summaryTrendStats": ["p(50)", "p(99)"],
    }
    script, out = load.folder / "k6.js", load.folder / "k6.json"
    script.write_text(
        f"import http from 'k6/http';\nexport const options = {json.dumps(options)};\n"
        f"export default function () {{ http.get('{load.url}/'); }}\n"
    )

    def read(_: str) -> ToolResult:
        metrics = json.loads(out.read_text())["metrics"]
        done = int(metrics["http_reqs"]["count"])
        failed = int(metrics.get("http_req_failed", {}).get("passes", 0))
        latency = metrics["http_req_duration"]
        return ToolResult(done, done - failed, latency["p(50)"], latency["p(99)"])

    return Job(["k6", "run", "--quiet", "--summary-export", str(out), str(script)], read)


def vegeta(load: LoadSpec) -> Job:
    """vegeta, constant rate."""
    targets, out = load.folder / "targets", load.folder / "vegeta.bin"
    targets.write_text(f"GET {load.url}/\n")

    def read(_: str) -> ToolResult:
        import subprocess  # noqa: PLC0415 - only here

        report = subprocess.run(["vegeta", "report", "-type=json", str(out)], capture_output=True, check=True)
        result = json.loads(report.stdout)
        good, latency = result["status_codes"].get("200", 0), result["latencies"]
        return ToolResult(result["requests"], good, latency["50th"] / 1e6, latency["99th"] / 1e6)

    keep = f"-keepalive={'true' if load.keep_alive else 'false'}"
    rate = [f"-rate={load.rate}/1s", f"-duration={load.seconds:g}s", keep]
    return Job(["vegeta", "attack", *rate, f"-targets={targets}", f"-output={out}"], read)


def hey(load: LoadSpec) -> Job:
    """hey: ten workers that each keep a tenth of the rate, and wait for their replies."""
    options = ["-z", f"{load.seconds:g}s", "-c", "10", "-q", f"{load.rate / 10:g}"]

    def read(output: str) -> ToolResult:
        done = sum(int(count) for count in re.findall(r"\[\d+\]\s+(\d+) responses", output))
        percentile = {key: float(value) * 1000 for key, value in re.findall(r"(\d+)%+ in ([\d.]+) secs", output)}
        return ToolResult(done, done, percentile.get("50"), percentile.get("99"))

    return Job(["hey", *options, *([] if load.keep_alive else ["-disable-keepalive"]), f"{load.url}/"], read)


def ab(load: LoadSpec) -> Job:
    """ab: as many requests as fast as four connections go."""

    def read(output: str) -> ToolResult:
        done = int(re.search(r"Complete requests:\s+(\d+)", output)[1])  # type: ignore[index] - a miss must fail loudly
        bad = re.search(r"Non-2xx responses:\s+(\d+)", output)
        p50 = re.search(r"50%\s+(\d+)", output)
        p99 = re.search(r"99%\s+(\d+)", output)
        return ToolResult(
            done, done - (int(bad[1]) if bad else 0), float(p50[1]) if p50 else None, float(p99[1]) if p99 else None
        )  # fmt: skip

    options = ["-q", "-n", str(load.arrivals), "-c", "4", *(["-k"] if load.keep_alive else [])]
    return Job(["ab", *options, f"{load.url}/"], read)


LOCUSTFILE = """
from locust import FastHttpUser, constant_throughput, task


class Visitor(FastHttpUser):
    wait_time = constant_throughput(10)

    @task
    def visit(self):
        self.client.get("/"{headers})
"""


def fast_http_user(load: LoadSpec) -> Job:
    """Locust as its documentation has it: FastHttpUser, each with ten requests a second at most."""
    path = load.folder / "plain_locust.py"
    path.write_text(LOCUSTFILE.format(headers="" if load.keep_alive else ', headers={"Connection": "close"}'))
    out = load.folder / "plain"
    users = str(max(1, load.rate // 10))

    def read(_: str) -> ToolResult:
        entry = json.loads(Path(f"{out}.json").read_text())[0]
        times = sorted((float(key), count) for key, count in entry["response_times"].items())
        done, failed = entry["num_requests"], entry["num_failures"]
        return ToolResult(done, done - failed, _weighted(times, 0.5), _weighted(times, 0.99))

    command = [sys.executable, "-m", "locust", "-f", str(path), "--headless", "--only-summary", "--host", load.url]
    options = ["-u", users, "-r", users, "-t", f"{load.seconds:g}s", "--json-file", str(out)]
    return Job([*command, *options], read)


def _weighted(times: list[tuple[float, int]], share: float) -> float | None:
    rank, count_so_far = sum(count for _, count in times) * share, 0
    for value, count in times:
        count_so_far += count
        if count_so_far >= rank:
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
