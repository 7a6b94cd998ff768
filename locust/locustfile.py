"""The scenario: every arrival is one `GET` of --host, at its planned time, whatever became of the ones before.

    locust -f locust/locustfile.py --host http://name/ [--load-profile artillery-50min] [--load-scale 3]

Alone or with `--master` and `--worker`, headless or with the web UI. What an arrival is, is in `loadgen/`; this file
tells Locust about it: the load's shape ends the run, and one idle user per worker stands for its sender.
"""

import sys
from pathlib import Path

from locust import LoadTestShape, User, constant, events, task

# `locust -f` puts this folder on the path while it loads the file; the generator is one folder up.
sys.path.append(str(Path(__file__).resolve().parent.parent))

import arrivals_options
import arrivals_run

events.init_command_line_parser.add_listener(arrivals_options.add)
events.init.add_listener(arrivals_run.attach)


class Arrivals(User):
    """Stands for a worker's sender in Locust's books: arrivals are sent by an event loop, not by users."""

    wait_time = constant(3600)

    @task
    def idle(self) -> None:
        """Nothing to do."""


class Schedule(LoadTestShape):
    """Runs for as long as the profile does, and until the last reply is in."""

    def reset_time(self) -> None:
        """A run begins."""
        super().reset_time()
        arrivals_run.shape_begins()

    def tick(self) -> tuple[int, float] | None:
        """One user per worker while the run lasts; then the end."""
        return arrivals_run.shape_tick()
