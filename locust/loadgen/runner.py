"""Between Locust and the generator: the master coordinates, workers send, messages go over Locust's own channel."""

import importlib.metadata
import logging
import os
import platform
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, WorkerRunner

from contract import runfolder
from contract.profiles import ProfileError
from contract.runfolder import RunFolderError, Second
from loadgen import options as load_options
from loadgen import stats, web
from loadgen.agent import POLL_EVERY_S, Agent
from loadgen.clock import Clock
from loadgen.coordinator import Coordinator
from loadgen.loadrun import RunError
from loadgen.messages import Report
from loadgen.observer import RunObserver
from loadgen.options import OptionError
from loadgen.runspec import RunSpec

# Imported only where the task definition asks for it, because it imports boto3.
record: Any = None
if os.environ.get("LOAD_RESULTS_BUCKET") or os.environ.get("LOAD_CACHE_ID"):
    from recorder import record

USAGE_ERROR = 64
TICK_EVERY_S = 0.1
DRAIN_S = 100.0  # a container is given 120 s between SIGTERM and SIGKILL
REPORT, ORDERS = "arrivals_report", "arrivals_orders"

logger = logging.getLogger("arrivals")


class _Evidence(RunObserver):
    """Tells the recorder when a run begins and ends, and hands it the closed seconds."""

    def __init__(self, recorder: Any, coordinator: Coordinator) -> None:
        self.recorder = recorder
        self.coordinator = coordinator

    def started(self, folder: Path, run: Mapping[str, object]) -> None:
        """The run folder exists."""
        self.recorder.begin(folder, float(str(run["started_at_unix_s"])), self.coordinator.event)

    def second_closed(self, second: Second) -> None:
        """A planned second is complete."""
        self.recorder.second_closed(second)

    def closed(self) -> None:
        """The run folder is complete."""
        self.recorder.end()


class _Master:
    """The master's state; a process has at most one."""

    def __init__(self, environment: Environment, runner: Any) -> None:
        self.environment = environment
        self.runner = runner
        self.clock = Clock()
        self.coordinator = Coordinator(self.clock)
        self.coordinator.observers.append(stats.Feed(environment))
        self.runs = 0
        self.begun = False  # the shape began, and its run has not started yet
        self.refused = ""
        self.recorder: Any = None  # record.Recorder, on AWS

    def check(self) -> RunSpec:
        """The run that the options describe now."""
        options = self.environment.parsed_options
        if options is None:
            raise OptionError("no options; start with the locust command")
        return load_options.spec_of(options, self.environment.host)

    def run_dir(self) -> Path:
        """Where the next run is written."""
        options: Any = self.environment.parsed_options
        named = options.run_dir.strip()
        if not named:
            name = runfolder.folder_name(self.clock.now(), options.load_stack or "local")
            return runfolder.free_folder(Path("runs") / name)
        return runfolder.free_folder(Path(named)) if self.runs else Path(named)

    def refuse_used_folder(self) -> None:
        """A folder named on the command line must not hold a run."""
        if runfolder.holds_run(path := self.run_dir()):
            raise OptionError(f"--run-dir {str(path)!r} holds a run already; name another folder or remove it")

    def record_on_aws(self, stack: str) -> None:
        """Send the run folder to S3 and watch the cache, if the task definition asks for it."""
        if record is not None and (recorder := record.from_environment(stack)) is not None:
            self.recorder = recorder
            self.coordinator.observers.append(_Evidence(recorder, self.coordinator))

    def test_start(self, **_: object) -> None:
        """Locust starts a test: start a run."""
        self.begun = False
        while self.coordinator.active:  # started again while the last replies of the run before are due
            gevent.sleep(TICK_EVERY_S)
        try:
            spec = self.check()
            facts = {
                "stack": (self.environment.parsed_options and self.environment.parsed_options.load_stack) or "local",
                "workers": getattr(self.runner, "worker_count", 1),
                "versions": {"python": platform.python_version(), "locust": importlib.metadata.version("locust")},
            }
            self.coordinator.start(spec, self.run_dir(), facts)
            self.runs += 1
        except (OptionError, ProfileError, RunFolderError, RunError) as error:
            self.refused = str(error)
            logger.error("%s", error)  # noqa: TRY400 - a wrong option needs no stack trace
            return
        self.refused = ""
        logger.info("Run folder: %s", self.coordinator.run_dir)

    def test_stopping(self, **_: object) -> None:
        """Stop was pressed, or the last worker went missing; at the end of the schedule nothing is left to stop."""
        alone = isinstance(self.runner, MasterRunner) and not self.runner.worker_count
        self.coordinator.stop("interrupted" if alone else "stopped")
        if self.headless:  # Locust tells the workers to quit next; they still have replies to report
            self.drain()

    def quitting(self, **_: object) -> None:
        """The process ends: finish the run folder first."""
        self.coordinator.stop("interrupted")
        self.drain()
        if self.recorder is not None:
            self.recorder.close()
        if self.headless:
            self.environment.process_exit_code = self.exit_code()

    def drain(self) -> None:
        """Wait for the last replies, and for the run folder to be closed."""
        deadline = self.clock.now() + DRAIN_S
        while self.coordinator.active and self.clock.now() < deadline:
            gevent.sleep(TICK_EVERY_S)

    def sigterm(self) -> None:
        """End a headless run in good order: Locust handles this signal only once its shape has ended."""
        if self.coordinator.active:
            self.coordinator.stop("interrupted")
        elif not self.runs:
            sys.exit(2)

    @property
    def headless(self) -> bool:
        """Whether there is no web interface."""
        options = self.environment.parsed_options
        return bool(options and options.headless)

    def exit_code(self) -> int:
        """0 delivered, every reply good; 1 some replies were not; 2 not delivered; 64 wrong options."""
        if self.refused:
            return USAGE_ERROR
        run = self.coordinator.last
        if run is None or not run.delivered or run.inconsistent:
            return 2
        return 1 if run.failed else 0

    def tick_forever(self) -> None:
        """Call the coordinator's `tick` for ever."""
        while True:
            gevent.sleep(TICK_EVERY_S)
            try:
                self.coordinator.tick()
            except OSError as error:  # a full disk: the run goes on, and says so
                logger.error("run folder %s: %s", self.coordinator.run_dir, error)  # noqa: TRY400 - see above

    def autostart(self, workers: int) -> None:
        """Start one run as soon as the declared workers are there."""
        refusal = None if self.recorder is None else self.recorder.autostart_refusal()
        if refusal is not None:
            logger.error("%s", refusal)
            return
        while getattr(self.runner, "worker_count", 1) < workers:
            gevent.sleep(0.5)
        self.runner.start_shape()


_master: list[_Master] = []


def shape_begins() -> None:
    """The shape's clock was reset: a run is about to start."""
    if _master and not _master[0].coordinator.active:
        _master[0].begun = True
        _master[0].refused = ""


def shape_tick() -> tuple[int, float] | None:
    """One user per worker while there is a run; then None, which ends Locust's test."""
    if not _master:
        return None
    master = _master[0]
    if master.refused or not (master.begun or master.coordinator.active):
        return None
    return max(1, getattr(master.runner, "worker_count", 1)), 100.0


def attach(environment: Environment, runner: Any, **_: object) -> None:
    """Wire up this process (`init`)."""
    if isinstance(runner, (MasterRunner, LocalRunner)):
        _attach_master(environment, runner)
    if isinstance(runner, WorkerRunner):
        _attach_worker(environment, runner)


def _attach_master(environment: Environment, runner: MasterRunner | LocalRunner) -> None:
    master = _Master(environment, runner)
    _master[:] = [master]
    options: Any = environment.parsed_options
    try:
        if environment.host or options.headless:
            master.check()
        workers, autostart = load_options.workers_of(options), load_options.autostart_of(options)
        master.refuse_used_folder()
    except OptionError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(USAGE_ERROR)
    events = environment.events
    events.test_start.add_listener(master.test_start)
    events.test_stopping.add_listener(master.test_stopping)
    events.quitting.add_listener(master.quitting)
    if environment.web_ui is not None:
        web.attach(environment.web_ui, master.coordinator, master.check, runner)
    master.record_on_aws(options.load_stack)
    if isinstance(runner, MasterRunner):

        def report(environment: Environment, msg: Any, **_: object) -> None:  # noqa: ARG001 - Locust's listener
            runner.send_message(ORDERS, {**master.coordinator.poll(msg.data)}, msg.node_id)

        runner.register_message(REPORT, report)
    else:
        agent = Agent("local", master.clock)
        gevent.spawn(_poll, agent, lambda report: agent.take(master.coordinator.poll(report)))
    gevent.spawn(master.tick_forever)
    if master.headless:
        gevent.signal_handler(signal.SIGTERM, master.sigterm)
    if autostart and not options.headless:
        gevent.spawn(master.autostart, workers)


def _attach_worker(environment: Environment, runner: WorkerRunner) -> None:
    agent = Agent(runner.client_id, Clock())

    def orders(environment: Environment, msg: Any, **_: object) -> None:  # noqa: ARG001 - Locust's listener
        agent.take(msg.data)

    def quitting(**_: object) -> None:
        agent.leaving = True
        deadline = agent.clock.now() + DRAIN_S
        while agent.busy and agent.clock.now() < deadline:
            gevent.sleep(0.05)

    runner.register_message(ORDERS, orders)
    environment.events.quitting.add_listener(quitting)
    gevent.spawn(_poll, agent, lambda report: runner.send_message(REPORT, report))


def _poll(agent: Agent, carry: Callable[[Report], None]) -> None:
    polls = 0
    while True:
        try:
            carry(agent.report())
        except RunError as error:
            logger.error("%s", error)  # noqa: TRY400 - it carries the worker's own stack trace
        except Exception:
            logger.exception("a report could not be carried to the master")
        polls += 1
        gevent.sleep(POLL_EVERY_S if polls > 5 else 0.05)  # the first few measure the clock difference
