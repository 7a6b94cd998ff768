"""What every step on AWS uses: the stack, its settings and exports, the account."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from experiment.aws import agent, tunnel
from experiment.aws.bucket import RunBucket
from experiment.aws.cloud import Cloud
from experiment.aws.engine import Engine
from experiment.errors import StepError, UsageError
from experiment.screen import Screen
from infra import settings as stack_settings
from infra.settings import Settings

T = TypeVar("T")

# How long to wait for renewed credentials; AWS continues meanwhile.
PATIENCE_S = 15 * 60.0


@dataclass(frozen=True)
class Deployed:
    """A deployed stack: its exports and region, or why only its bucket is available."""

    exports: dict[str, Any]
    region: str | None
    profile: str | None
    why_not: str = ""
    """Why only the bucket is available; empty while the stack stands."""


class Stack:
    """One stack. `bucket` and `region` come from the command line; `runs` is where run folders go."""

    def __init__(
        self,
        name: str,
        screen: Screen,
        *,
        root: Path,
        runs: Path,
        bucket: str = "",
        region: str = "",
        patience_s: float = PATIENCE_S,
        engine: Engine | None = None,
        cloud: Cloud | None = None,
    ) -> None:
        self.name = name
        self.screen = screen
        self.root = root
        self.runs = runs
        self.engine = engine or Engine(root, name, screen.progress)
        self._bucket_name = bucket
        self._region = region
        self._patience_s = patience_s
        self._cloud = cloud
        self._settings: Settings | None = None
        self._deployed: Deployed | None = None

    @property
    def cloud(self) -> Cloud:
        """The account and region that the stack is configured for."""
        if self._cloud is None:
            self._cloud = Cloud(self.deployed.region, self.deployed.profile)
            self._cloud.region = self.deployed.region or self._cloud.session.region_name
        return self._cloud

    @property
    def deployed(self) -> Deployed:
        """The stack after this command's last change, or at its first question."""
        if self._deployed is None:
            self._deployed = self._look()
        return self._deployed

    def _look(self) -> Deployed:
        """The stack as Pulumi knows it now. A named bucket suffices; the stack is used only if it is the stack's."""
        bucket, named_region = self._bucket_name, self._region or None
        try:
            (configured, profile), exports = self.engine.region(), self.engine.exports()
        except StepError as error:
            if not bucket:
                raise
            return Deployed({"resultsBucket": bucket}, named_region, None, f"stack {self.name}: {error.said}")
        standing = exports.get("resultsBucket")
        region = named_region or configured
        if not standing:
            why_not = f"stack {self.name} is not deployed"
        elif bucket and bucket != standing:
            why_not = f"stack {self.name} has another bucket, {standing}"
        else:
            return Deployed(exports, region, profile)
        return Deployed({"resultsBucket": bucket} if bucket else {}, region, profile, why_not)

    def look_again(self) -> None:
        """Forget `deployed`, because something was deployed or removed."""
        self._deployed = None

    @property
    def settings(self) -> Settings:
        """The stack's settings at this command's first question."""
        if self._settings is None:
            self._settings = self.engine.settings()
        return self._settings

    @property
    def project(self) -> str:
        """The project's name, which every resource is tagged with."""
        return stack_settings.project_name(self.root)

    def exports(self, step: str) -> dict[str, Any]:
        """What `up` exported; for a destroyed stack only the bucket named on the command line."""
        if not self.deployed.exports:
            raise UsageError(
                step,
                f"stack {self.name}",
                "it is not deployed",
                "python -m experiment up, or run; for a run that outlived its stack: --bucket NAME",
            )
        return self.deployed.exports

    def port_forward(
        self, step: str, *, local_port: int | None = None, agent_limit_s: float = agent.LIMIT_S
    ) -> AbstractContextManager[tunnel.PortForward]:
        """A way to the web port of the stack's master."""
        exports = self.exports(step)
        return tunnel.port_forward(
            self.cloud,
            str(exports["ecsCluster"]),
            str(exports["masterService"]),
            step=step,
            say=self.screen.progress,
            local_port=local_port,
            agent_limit_s=agent_limit_s,
        )

    def patiently(self, ask: Callable[[], T]) -> T:
        """Ask AWS; waits until expired credentials are renewed."""
        return self.cloud.patiently(ask, self.screen.say, self._patience_s)

    def bucket(self, step: str) -> RunBucket:
        """The results bucket."""
        return RunBucket(self.cloud, str(self.exports(step)["resultsBucket"]), step)

    def newest(self, step: str) -> str:
        """The newest run of the bucket, whoever started it."""
        runs = self.patiently(self.bucket(step).runs)
        if not runs:
            raise UsageError(step, "runs", "the bucket holds none", "python -m experiment start")
        return runs[-1]
