"""`python -m benchmarks`: this generator and its peers, one after the other, against one local server, in one run.

CPU per arrival is marginal: each tool runs for a short and for a long time, and the difference of CPU is divided by the
difference of replies, so that what a tool needs to start is told apart. A noisy machine raises all figures: tools take
turns, and the ratio of two is the median of their ratios within a round.
"""

import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import results
from benchmarks.peers import ROOT, TOOLS, LoadSpec, RampPhase, Tool, ToolResult
from contract.exits import end
from contract.parser import Parser

RATE = 900
SHORT_S, LONG_S = 2.0, 8.0
TITLES = (
    "generator", "connection", "offered", "good", "CPU ms an arrival", "CPU s to start", "p50 ms", "p99 ms",
    "send lag p50 / p99 ms",
)  # fmt: skip
MEDIANS = ("p50_ms", "p99_ms", "lag_p50_ms", "lag_p99_ms")
BODY = (
    '{"session":"5f0c7b0e-7b1c-4d3f-9c7d-2f1f5f0c7b0e","connection":0.000312,"write":0.000104,'
    '"read":0.000098,"redirects":0,"retries":0,"cold":false}'
)
NGINX = """
worker_processes 1; daemon off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 16384; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}; proxy_temp_path {folder};
  fastcgi_temp_path {folder}; uwsgi_temp_path {folder}; scgi_temp_path {folder};
  server {{ listen 127.0.0.1:{port} backlog=16384; location / {{ default_type application/json; return 200 '{body}'; }}
  }}
}}
"""


@contextmanager
def server() -> Generator[str]:
    """One nginx worker on a free port of loopback."""
    if not shutil.which("nginx"):
        sys.exit(
            "benchmarks need nginx as the server that all tools share; install it (Debian: apt-get install nginx-light)"
        )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(NGINX.format(folder=folder, port=port, body=BODY))
        process = subprocess.Popen(["nginx", "-c", str(config), "-p", folder], stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with socket.socket() as probe:
                    if probe.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait()


def run_once(tool: Tool, url: str, phases: tuple[RampPhase, ...], *, keep_alive: bool) -> dict[str, Any]:
    """One run of one tool: CPU and wall seconds, and its own account."""
    with tempfile.TemporaryDirectory() as folder:
        load = LoadSpec(url, phases, keep_alive, Path(folder))
        job = tool.job(load)
        output = Path(folder) / "output"
        began = time.monotonic()
        with output.open("wb") as stream:
            process = subprocess.Popen(job.command, stdout=stream, stderr=subprocess.PIPE, cwd=ROOT)
            error = process.stderr.read() if process.stderr else b""
            _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s = time.monotonic() - began
        try:
            tool_result: ToolResult = job.read(output.read_text())
        except (OSError, ValueError, KeyError, TypeError) as problem:
            tail = error.decode(errors="replace")[-500:]
            return {"tool": tool.name, "error": f"exit {process.returncode}: {problem!r}: {tail}"}
        return {
            "tool": tool.name,
            "offered": load.arrivals,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "wall_s": wall_s,
            "max_rss_mb": usage.ru_maxrss / (1024 if sys.platform == "linux" else 1024 * 1024),
            **vars(tool_result),
        }


def marginal(short: dict[str, Any], long: dict[str, Any]) -> float | None:
    """CPU seconds per reply between a short and a long run; None if one of them failed."""
    if "error" in short or "error" in long or long["done"] <= short["done"]:
        return None
    return float((long["cpu_s"] - short["cpu_s"]) / (long["done"] - short["done"]))


Pair = tuple[dict[str, Any], dict[str, Any]]  # a short run and a long one


def turn(tools: list[Tool], url: str, *, keep_alive: bool) -> dict[str, Pair]:
    """One round at a constant rate: by tool, its short and its long run.

    A shared machine's speed drifts by a factor of two within minutes: tools are compared within a round, never across.
    """
    pairs_by_tool: dict[str, Pair] = {}
    for tool in tools:
        sys.stderr.write(f"{tool.name}, {'keep-alive' if keep_alive else 'new connections'} ...\n")
        short, long = (
            run_once(tool, url, ((seconds, RATE, RATE),), keep_alive=keep_alive) for seconds in (SHORT_S, LONG_S)
        )
        pairs_by_tool[tool.name] = short, long
    return pairs_by_tool


def cost(pairs: list[Pair]) -> dict[str, Any]:
    """One tool's marginal CPU per arrival: the median of its rounds, and each."""
    values = [marginal(short, long) for short, long in pairs]
    good = [(value, *pair) for value, pair in zip(values, pairs, strict=True) if value is not None]
    if not good:
        problem = next((run["error"] for pair in pairs for run in pair if "error" in run), None)
        return {**pairs[-1][1], "error": problem or "no more replies in the longer run"}
    median_s = statistics.median(value for value, _, _ in good)
    start_s = statistics.median(short["cpu_s"] - median_s * short["done"] for _, short, _ in good)
    return {
        **good[-1][2],
        **{key: _median([long[key] for _, _, long in good]) for key in MEDIANS},
        "cpu_ms_per_arrival": median_s * 1000,
        "cpu_ms_per_arrival_by_round": [None if value is None else value * 1000 for value in values],
        "start_cpu_s": max(0.0, start_s),
    }


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def original(compress: float) -> tuple[RampPhase, ...]:
    """The original's three phases at three load tasks, shortened."""
    return ((1200 / compress, 60, 450), (600 / compress, 150, 900), (1200 / compress, 60, 450))


def goals(costs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What this generator should cost against its peers, and whether it did: medians of the ratios within a round."""
    by_name = {row["tool"]: row for row in costs if not row["keep_alive"] and "cpu_ms_per_arrival" in row}
    ours = by_name.get(TOOLS[0].name)
    rows: list[dict[str, Any]] = []
    for peer, limit in (("Artillery", 1 / 5), ("k6", 1 / 3), ("vegeta", 1 / 3), ("bare epoll loop", 1.5)):
        if ours and peer in by_name:
            rounds = zip(ours["cpu_ms_per_arrival_by_round"], by_name[peer]["cpu_ms_per_arrival_by_round"], strict=True)
            ratios = [mine / its for mine, its in rounds if mine is not None and its is not None]
            if not ratios:
                continue  # no round in which both came through
            ratio = statistics.median(ratios)
            goal = f"CPU per arrival against {peer}"
            held = ratio <= limit
            rows.append({"goal": goal, "limit": limit, "measured": ratio, "held": held, "rounds": ratios})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """A Markdown table."""
    lines = [
        f"| {' | '.join(TITLES)} |",
        "|---" * len(TITLES) + "|",
    ]
    for row in rows:
        kind = "keep-alive" if row["keep_alive"] else "new"
        if "error" in row:
            lines.append(f"| {row['tool']} | {kind} | did not finish: {row['error'][:60]} | | | | | | |")
            continue
        lag = f"{row['lag_p50_ms']:.3f} / {row['lag_p99_ms']:.3f}" if row["lag_p50_ms"] is not None else ""
        p50, p99 = (f"{row[key]:.2f}" if row[key] is not None else "" for key in ("p50_ms", "p99_ms"))
        cpu = f"{row['cpu_ms_per_arrival']:.3f}" if "cpu_ms_per_arrival" in row else ""
        begin = f"{row['start_cpu_s']:.1f}" if "start_cpu_s" in row else ""
        cells = row["tool"], kind, f"{row['offered']:,}", f"{row['good']:,}", cpu, begin, p50, p99, lag
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run what is asked for; JSON into benchmarks/results, tables on standard output."""
    parser = Parser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", help="comma-separated beginnings of tool names")
    parser.add_argument("--compress", type=float, default=100, help="how much shorter the original's profile is")
    parser.add_argument(
        "--connection", choices=("new", "keep-alive", "both", "none"), default="both", help="which kinds to run"
    )
    parser.add_argument("--rounds", type=int, default=5, help="turns of each tool; the median counts")
    parser.add_argument("--skip-profile", action="store_true", help="only the constant rate")
    options = parser.parse_args()
    names = tuple(name.strip().lower() for name in options.only.split(",") if name.strip())
    tools = [tool for tool in TOOLS if tool.installed() and (not names or tool.name.lower().startswith(names))]
    absent = [tool.name for tool in TOOLS if not tool.installed()]
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)) if hard > 0 else soft, hard))
    kinds = {"new": (False,), "keep-alive": (True,), "both": (False, True), "none": ()}[options.connection]
    costs: list[dict[str, Any]] = []
    profile: list[dict[str, Any]] = []
    began = time.time()

    def save() -> Path:
        """What was measured so far: a run that is cut short keeps its figures."""
        figures: dict[str, Any] = {
            "rate_per_s": RATE,
            "not_installed": absent,
            "constant_rate": costs,
            "original_profile": {"compress": options.compress, "runs": profile},
            "goals": goals(costs),
        }
        return results.save("generators", began, figures)

    with server() as url:
        for keep_alive in kinds:
            able = [tool for tool in tools if not (keep_alive and tool.name == "bare epoll loop")]
            rounds: list[dict[str, Pair]] = []
            before = list(costs)
            for number in range(options.rounds):
                sys.stderr.write(f"round {number + 1} of {options.rounds}\n")
                rounds.append(turn(able, url, keep_alive=keep_alive))
                costs[:] = before + [
                    {**cost([by_tool[tool.name] for by_tool in rounds]), "keep_alive": keep_alive} for tool in able
                ]
                save()
        for tool in tools if not options.skip_profile else ():
            if tool.ramps:
                sys.stderr.write(f"{tool.name}, the original's profile ...\n")
                row = run_once(tool, url, original(options.compress), keep_alive=False)
                profile.append({**row, "keep_alive": False})
                save()
    path, judged = save(), goals(costs)
    sys.stdout.write(f"{RATE} arrivals a second\n\n{table(costs)}\n\n")
    sys.stdout.write(f"The original's profile / {options.compress:g}\n\n{table(profile)}\n\n")
    for goal in judged:
        mark = "held" if goal["held"] else "MISSED"
        sys.stdout.write(
            f"{goal['goal']}: {goal['measured']:.2f}, at most {goal['limit']:.2f}: {mark} "
            f"(rounds: {', '.join(f'{ratio:.2f}' for ratio in goal['rounds'])})\n"
        )
    sys.stdout.write(f"{path}\n")
    return 0 if all(goal["held"] for goal in judged) else 1


if __name__ == "__main__":
    end("python -m benchmarks", main)
