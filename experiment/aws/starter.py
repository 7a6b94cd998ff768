"""Starts the load on AWS, or finds the run in progress."""

from typing import Any

from contract.master import MasterError
from experiment.aws.bucket import RunBucket
from experiment.aws.stack import Stack
from experiment.errors import StepError, UsageError
from experiment.state import State

_POLL_S = 10.0
_WORKERS_S = 10 * 60.0
_SEE_THE_LOG = "see the log group of the load"


class Starter:
    """One start of one stack's load; `state` keeps the time of the request."""

    def __init__(self, stack: Stack, state: State) -> None:
        self._stack = stack
        self._state = state

    def start(self) -> dict[str, Any]:
        """The master's marker of the run in progress: `run`, `started_at_unix_s`."""
        stack, bucket = self._stack, self._stack.bucket("start")
        current = stack.patiently(lambda: bucket.current(stack.name))
        running = current is not None and not current.get("ended")
        by_itself = stack.settings.load_autostart and (current is None or running)
        requested = self._state.get("start_requested_unix_s")
        if running and current is not None and not by_itself and requested is None:
            raise UsageError(
                "start",
                f"run {current.get('run')}",
                "a run is in progress on this stack that this command did not start",
                "wait for it: python -m experiment wait --run "
                f"{current.get('run')}; or stop it in the UI: python -m experiment ui",
            )
        if not by_itself and not running:
            requested = self._swarm()
        return self._begun(bucket, 0.0 if by_itself else float(requested or 0))

    def _swarm(self) -> float:
        """Ask the master to start, once all declared workers have joined."""
        stack = self._stack
        with stack.port_forward("start") as forward:
            try:
                state = forward.master.live().get("state")
                if state in ("running", "finishing"):
                    raise UsageError("start", "the master", f"it is {state} a run already", "wait for its end")
                until = stack.cloud.clock() + _WORKERS_S
                while (workers := forward.master.workers()) < stack.settings.load_tasks:
                    if stack.cloud.clock() > until:
                        raise StepError(
                            "start",
                            f"service {stack.exports('start').get('workerService')}",
                            f"{workers} of {stack.settings.load_tasks} workers after {_WORKERS_S / 60:.0f} min",
                            "see the service's events in the ECS console, then run the same command again",
                        )
                    stack.screen.progress(f"{workers} of {stack.settings.load_tasks} workers")
                    stack.cloud.sleep(5)
                requested = stack.cloud.now()
                self._state.save(start_requested_unix_s=requested)
                forward.master.start()
            except MasterError as error:
                raise StepError("start", "the master", str(error), f"{_SEE_THE_LOG}, then try again") from error
        return requested

    def _begun(self, bucket: RunBucket, since_unix_s: float) -> dict[str, Any]:
        """The marker of the run that began at `since` or later (by a master's clock, so with some room)."""
        stack = self._stack
        until = stack.cloud.clock() + _WORKERS_S
        while True:
            marker = stack.patiently(lambda: bucket.current(stack.name))
            if marker and not marker.get("ended") and float(marker["started_at_unix_s"]) >= since_unix_s - 5:
                return marker
            if stack.cloud.clock() > until:
                raise StepError(
                    "start",
                    f"s3://{bucket.bucket}/markers/current-{stack.name}.json",
                    f"no run began within {_WORKERS_S / 60:.0f} min",
                    f"{_SEE_THE_LOG}: it says why; then run the same command again",
                )
            stack.screen.progress("waiting for the run's first object in the bucket")
            stack.cloud.sleep(_POLL_S)
