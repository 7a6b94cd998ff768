"""What `run` has done so far; written to disk after every step, so that the same command resumes."""

import fcntl
import json
import os
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from contract.files import replace_json
from experiment.errors import UsageError

FORMAT = 2


@dataclass
class State:
    """One experiment on one stack: its plan, the steps that are done, and their results."""

    path: Path | None
    """None: in memory only, for a place that ends with the command."""
    data: dict[str, Any] = field(default_factory=dict[str, Any])

    @classmethod
    def load(cls, folder: Path, stack: str) -> "State":
        """The state that an earlier command left, or an empty one."""
        path = folder / f"experiment-{stack}.json"
        try:
            content: Any = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return cls(path, {"format": FORMAT, "stack": stack, "steps": {}})
        except ValueError as error:
            raise UsageError("state", str(path), f"not JSON: {error}", "remove it; AWS keeps what is running") from None
        if not isinstance(content, dict) or cast("dict[str, Any]", content).get("format") != FORMAT:
            raise UsageError("state", str(path), "written by another version", "remove it; AWS keeps what is running")
        return cls(path, cast("dict[str, Any]", content))

    @classmethod
    def in_memory(cls, stack: str) -> "State":
        """A state that ends with this command."""
        return cls(None, {"format": FORMAT, "stack": stack, "steps": {}})

    def of_another(self, run_id: str, folder: Path) -> "State":
        """A state for another run; it takes over this state's unwritten events."""
        state = State.in_memory(str(self.data["stack"]))
        state.save(run_id=run_id, folder=str(folder), events=self.get("events", []))
        return state

    def save(self, **changes: Any) -> None:
        """Save facts; they are on disk when this returns."""
        self.data.update(changes)
        if self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        with beside.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(self.data, indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        beside.replace(self.path)

    def get(self, key: str, default: Any = None) -> Any:
        """A saved fact."""
        return self.data.get(key, default)

    def done(self, step: str) -> bool:
        """Whether a step is done."""
        return "done_at_unix_s" in self._step(step)

    def begin(self, step: str) -> None:
        """Note a step's first begin."""
        self._step(step).setdefault("began_at_unix_s", time.time())
        self.save()

    def finish(self, step: str) -> None:
        """Note a step's end."""
        self._step(step)["done_at_unix_s"] = time.time()
        self.save()

    def renew(self) -> None:
        """Forget everything but the plan: a new stack has the same name."""
        self.data = {
            key: self.data[key] for key in ("format", "stack", "asked", "plan", "usd_per_hour") if key in self.data
        }
        self.data["steps"] = {}
        self.save()

    def forget(self, *steps: str) -> None:
        """Mark steps as not done."""
        for step in steps:
            self.data["steps"].pop(step, None)
        self.save()

    def began_at(self, step: str) -> float | None:
        """When a step first began, Unix seconds by this machine's clock."""
        return self._step(step).get("began_at_unix_s")

    def _step(self, step: str) -> dict[str, float]:
        return self.data["steps"].setdefault(step, {})

    def archive(self, folder: Path) -> None:
        """Move the state of the finished run into its folder; the next run begins on the standing stack."""
        if self.path is None:
            return
        replace_json(folder / "experiment.json", self.data)
        up = {"up": {"began_at_unix_s": self.began_at("up")}} if self.began_at("up") else {}
        stays = {key: self.data[key] for key in ("format", "stack", "usd_per_hour") if key in self.data}
        self.data = {**stays, "steps": up}
        self.save()


@contextmanager
def locked(folder: Path, stack: str) -> Generator[None]:
    """Lock the stack against a second command; the lock ends with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f".experiment-{stack}.lock"
    with path.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            stream.seek(0)
            holder = stream.read().strip() or "unknown"
            raise UsageError(
                "lock",
                f"stack {stack}",
                f"another command works on it (process {holder})",
                "wait for it, or end it first",
            ) from None
        stream.truncate(0)
        stream.write(str(os.getpid()))
        stream.flush()
        yield
