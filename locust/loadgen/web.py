"""The master's own pages beside Locust's: the Arrivals tab, and what the rehearsal and the experiment ask and say."""

import time
from collections.abc import Callable
from typing import Any

import gevent
from flask import Response, jsonify, request
from locust.runners import STATE_CLEANUP, STATE_RUNNING, STATE_STOPPING, MasterRunner
from locust.web import WebUI

from loadgen.coordinator import Coordinator
from loadgen.loadrun import RunError
from loadgen.options import OptionError

COLUMNS = (
    ("scope", "Planned in"),
    ("offered", "Offered"),
    ("achieved", "Achieved"),
    ("failed", "Failed"),
    ("missed", "Missed"),
    ("unknown", "Unknown"),
    ("series", "Latency (ms)"),
    ("p50", "p50"),
    ("p90", "p90"),
    ("p95", "p95"),
    ("p99", "p99"),
    ("max", "Max"),
)
LABELS = {
    "response": "Response (planned → reply)",
    "service": "Service (sent → reply)",
    "lag": "Send lag (planned → sent)",
}

ENDING = frozenset({STATE_STOPPING, STATE_CLEANUP})
END_WITHIN_S = 20.0  # what Locust may take to end its test


def attach(web_ui: WebUI, coordinator: Coordinator, check: Callable[[], object], runner: object) -> None:
    """Add the routes and the tab."""
    app = web_ui.app
    if app is None:
        return
    base = web_ui.environment.parsed_options.web_base_path if web_ui.environment.parsed_options else ""
    guard = web_ui.auth_required_if_enabled

    def workers() -> int:
        return getattr(runner, "worker_count", 1)

    web_ui.template_args |= {
        "extended_tabs": [{"title": "Arrivals", "key": "arrivals"}],
        "extended_tables": [{"key": "arrivals", "structure": [{"key": key, "title": title} for key, title in COLUMNS]}],
    }

    app.add_url_rule(
        f"{base}/arrivals/live", "arrivals_live", guard(lambda: jsonify({**coordinator.live(), "workers": workers()}))
    )
    app.add_url_rule(f"{base}/arrivals/events", "arrivals_events", guard(lambda: _event(coordinator)), methods=["POST"])
    app.add_url_rule(f"{base}/arrivals/notes", "arrivals_notes", guard(lambda: _notes(coordinator)), methods=["POST"])

    locust_swarm: Callable[[], Any] = app.view_functions["locust.swarm"]
    app.view_functions["locust.swarm"] = lambda: (
        _still_going(coordinator, runner) or _refusal(web_ui, check, runner) or locust_swarm()
    )

    @app.after_request
    def extend_statistics(response: Response) -> Response:  # pyright: ignore[reportUnusedFunction] - Flask calls it
        if request.path == f"{base}/stats/requests" and response.is_json:
            content: Any = response.get_json()
            _precise(web_ui, content["stats"])
            if content["state"] in ENDING:
                content["state"] = STATE_RUNNING  # in any other state the page stops asking, and never learns the end
            content["extended_stats"] = [{"key": "arrivals", "data": rows(coordinator.live())}]
            response.set_data(app.json.dumps(content))
        return response


def _precise(web_ui: WebUI, shown: list[dict[str, Any]]) -> None:
    """Least and greatest times as they are: Locust rounds them to whole milliseconds."""
    tables = web_ui.environment.stats
    for line in shown:
        key = line["name"], line["method"]
        entry = tables.entries.get(key, tables.total)
        if entry.min_response_time is not None:
            line["min_response_time"] = round(entry.min_response_time, 3)
            line["max_response_time"] = round(entry.max_response_time, 3)


def _event(coordinator: Coordinator) -> tuple[Response, int]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict) or not isinstance(body.get("event"), str) or not body["event"]:
        return jsonify({"error": 'the body must be a JSON object with "event": NAME'}), 400
    fields = {key: value for key, value in body.items() if key not in ("event", "t_s")}
    try:
        return jsonify({"t_s": round(coordinator.event(body["event"], fields), 6)}), 200
    except RunError as error:
        return jsonify({"error": str(error)}), 409


def _notes(coordinator: Coordinator) -> tuple[Response, int]:
    body = request.get_json(silent=True)
    if not isinstance(body, dict):
        return jsonify({"error": "the body must be a JSON object: keys for run.json"}), 400
    try:
        coordinator.notes(body)
    except RunError as error:
        return jsonify({"error": str(error)}), 409
    return jsonify({}), 200


def _still_going(coordinator: Coordinator, runner: Any) -> Response | None:
    """Locust answers a start during a test as if it had started, and ignores it: wait for its end, or say so."""
    until = time.monotonic() + END_WITHIN_S
    while runner.shape_greenlet is not None or runner.state in ENDING:
        if coordinator.active and runner.state not in ENDING:
            message = f"a run is {coordinator.state}; stop it, or wait for its end, before you start another"
        elif time.monotonic() > until:
            message = "Locust has not ended the last test yet; try again in a moment"
        else:  # the run is over, and Locust notices within a second
            gevent.sleep(0.05)
            continue
        return jsonify({"success": False, "message": message, "host": runner.environment.host})
    return None


def _refusal(web_ui: WebUI, check: Callable[[], object], runner: object) -> Response | None:
    """Refuse in the form what a run would refuse, before Locust starts anything; None if all is well."""
    environment = web_ui.environment
    options: Any = environment.parsed_options
    before, host = dict(vars(options)), environment.host
    for key in request.form:
        if key.startswith(("load_", "run_dir")) and key in before:
            setattr(options, key, request.form[key].strip())
    if "host" in request.form:
        environment.host = request.form["host"].strip()
    message = ""
    try:
        check()
    except OptionError as error:
        message = str(error)
    if isinstance(runner, MasterRunner) and not runner.worker_count:
        message = "no load worker has connected yet; start one with --worker, or wait for it"
    if not message:
        return None
    vars(options).update(before)
    environment.host = host
    return jsonify({"success": False, "message": message, "host": host})


def rows(live: dict[str, Any]) -> list[dict[str, str]]:
    """The tab's table: the last ten seconds, then each phase that has begun."""
    if "last_10s" not in live:
        return []
    recent, totals = live["last_10s"], live["totals"]
    table = [
        {
            "scope": f"Whole run ({live['state']})",
            "offered": f"{totals['offered']:,}",
            "achieved": f"{totals['ok']:,}",
            "failed": f"{totals['failed']:,}",
            "missed": f"{totals['missed']:,}",
            "unknown": f"{totals['unknown']:,}",
        }
    ]
    head = {
        "scope": "Last 10 seconds",
        "offered": f"{recent['offered_per_s']:.1f}/s",
        "achieved": f"{recent['ok_per_s']:.1f}/s",
        "failed": f"{recent['failed_per_s']:.1f}/s",
    }
    table += _series_rows(head, recent["series"])
    for phase in live["phases"]:
        if phase["offered"]:
            head = {
                "scope": phase["name"],
                "offered": f"{phase['offered']:,}",
                "achieved": f"{phase['ok']:,}",
                **{name: f"{phase[name]:,}" for name in ("failed", "missed", "unknown")},
            }
            table += _series_rows(head, phase["series"])
    blank = {key: "" for key, _ in COLUMNS}
    return [{**blank, **row} for row in table]


def _series_rows(head: dict[str, str], series: dict[str, Any]) -> list[dict[str, str]]:
    lines: list[dict[str, str]] = []
    for name, summary in series.items():
        if summary["count"]:
            figures = {key: f"{summary[key]:.3f}" for key in ("p50", "p90", "p95", "p99", "max")}
            lines.append({"scope": head["scope"], "series": LABELS.get(name, f"Cache: {name}"), **figures})
    if not lines:
        lines = [{}]
    lines[0] = {**lines[0], **head}
    return lines
