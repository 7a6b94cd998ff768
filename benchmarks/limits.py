"""`python -m benchmarks.limits`: what one generator process sustains.

Send lag at 900/s while the web UI is open (in Chromium if installed, else its endpoints are requested as a browser
does), and 5,000 arrivals a second on one core with nothing missed.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Generator
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.__main__ import server
from benchmarks.peers import ROOT
from contract.exits import end
from contract.parser import Parser
from contract.runread import read_run


def percentiles_ms(run_dir: Path, series: str, percentiles: tuple[float, ...]) -> dict[str, float]:
    """Percentiles of a series over the run, without its first second."""
    run = read_run(run_dir)
    merged = run.latency[series].merged(run.seconds.t_s >= 1)
    return {f"p{percentile:g}": merged.quantile_us(percentile / 100) / 1000 for percentile in percentiles}


ENDPOINTS = ("/stats/requests", "/tasks", "/exceptions")


@contextlib.contextmanager
def chromium_on(page: str) -> Generator[bool]:
    """Show the Arrivals tab in a real browser meanwhile; yields whether there is one."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        yield False
        return
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where there is a browser

    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=program, headless=True, args=arguments
        )
        context.pages[0].goto(page)
        context.pages[0].get_by_role("tab", name="Arrivals").click()
        yield True
        context.close()


def run(url: str, rate: int, seconds: int, *, one_core: bool, browser: bool) -> dict[str, Any]:
    """One process without workers, with its web interface."""
    with tempfile.TemporaryDirectory() as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        profile, run_dir = Path(folder) / "load.yml", Path(folder) / "run"
        profile.write_text(f"phases:\n  - duration: {seconds}\n    arrivalRate: {rate}\n")
        command = [
            sys.executable, "-m", "locust", "-f", "locust/locustfile.py", "--host", url, "--web-host", "127.0.0.1",
            "--web-port", str(port), "--load-profile", str(profile), "--load-scale", "1", "--run-dir", str(run_dir),
        ]  # fmt: skip
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if one_core and sys.platform == "linux":
                os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
            base = f"http://127.0.0.1:{port}"
            until = time.monotonic() + 30
            while time.monotonic() < until:
                with contextlib.suppress(OSError):
                    urllib.request.urlopen(f"{base}/arrivals/live", timeout=5).read()  # noqa: S310 - our own process
                    break
                time.sleep(0.1)
            urllib.request.urlopen(f"{base}/swarm", data=b"", timeout=30).read()  # noqa: S310 - as above
            state = ""
            with chromium_on(base) if browser else contextlib.nullcontext(False) as opened:
                while state != "finished":
                    time.sleep(2)
                    live = json.loads(urllib.request.urlopen(f"{base}/arrivals/live", timeout=60).read())  # noqa: S310 - as above
                    state = live["state"]
                    for path in () if opened else ENDPOINTS:
                        urllib.request.urlopen(base + path, timeout=60).read()  # noqa: S310 - as above
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
        run_json = read_run(run_dir).meta
        return {
            "rate_per_s": rate,
            "seconds": seconds,
            "watched_by": "Chromium" if opened else "its endpoints asked every 2 s",
            "totals": run_json["totals"],
            "cpu_ms_per_arrival": run_json["generator_cpu"]["master"] / run_json["totals"]["offered"] * 1000,
            "send_lag_ms": percentiles_ms(run_dir, "lag", (50, 90, 99, 99.9)),
            "service_ms": percentiles_ms(run_dir, "service", (50, 90, 99, 99.9)),
        }


def main() -> int:
    """Both, with the goals they are held to; JSON into benchmarks/results."""
    parser = Parser(prog="python -m benchmarks.limits", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="length of each run")
    options = parser.parse_args()
    began = time.time()
    with server() as url:
        watched = run(url, 900, options.seconds, one_core=False, browser=True)
        full = run(url, 5000, options.seconds, one_core=True, browser=False)
    held = {
        "send lag p50 under 0.2 ms at 900/s with the web UI open": watched["send_lag_ms"]["p50"] < 0.2,
        "send lag p99 under 2 ms at 900/s with the web UI open": watched["send_lag_ms"]["p99"] < 2,
        "5,000/s on one core, nothing missed": full["totals"]["missed"] == 0
        and full["totals"]["ok"] == full["totals"]["offered"],
    }
    path = results.save("limits", began, {"watched": watched, "full": full, "goals": held})
    sys.stdout.write(path.read_text() + f"{path}\n")
    return 0 if all(held.values()) else 1


if __name__ == "__main__":
    end("python -m benchmarks.limits", main)
