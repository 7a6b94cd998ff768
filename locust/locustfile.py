"""The scenario: arrivals come at planned times, and each sends one `GET` to --host on a connection of its own.

    locust -f locust/locustfile.py --host http://name/ [--load-profile artillery-50min] [--load-scale 3]

Run it from the repository's root: alone or with `--master` and `--worker`, headless or with the web UI.

The default profile, locust/profiles/artillery-50min.yml, times the default --load-scale of 3:

    phase        | duration | arrivals/s   | arrivals
    Warm up      | 20 min   | 60 -> 450    | 306,000
    Higher load  | 10 min   | 150 -> 900   | 315,000
    Cool Down    | 20 min   | 60 -> 450    | 306,000

Locust's own idiom is a closed loop: a user waits for the reply before it sends again, so a slow server lowers the load.
This load is open: an arrival is sent at its planned time whatever became of the ones before. So no user here sends
anything. `loadgen/` does, from an event loop on each worker; Locust provides the distribution, the statistics and the
web UI, and sees one idle user per worker.
"""

from loadgen import options, runner
from locust import LoadTestShape, User, constant, events, task

events.init_command_line_parser.add_listener(options.add)
events.init.add_listener(runner.attach)


class IdleUser(User):
    """Stands for a worker's sender, which makes the requests (loadgen/sender.py)."""

    wait_time = constant(3600)

    @task
    def idle(self) -> None:
        """Sends nothing."""


class LoadShape(LoadTestShape):
    """Runs for as long as the profile does, and until the last reply is in."""

    def reset_time(self) -> None:
        """A run begins."""
        super().reset_time()
        runner.shape_begins()

    def tick(self) -> tuple[int, float] | None:
        """One user per worker while the run lasts; then None, which ends Locust's test."""
        return runner.shape_tick()
