"""What every step on AWS uses: the stack, its settings and exports, the account."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, TypeVar

from experiment.aws import agent, deployed, tunnel
from experiment.aws.bucket import RunBucket
from experiment.aws.cloud import Cloud
from experiment.aws.deployed import Deployed
from experiment.aws.engine import Engine
from experiment.errors import UsageError
from experiment.screen import Screen
from infra import settings as stack_settings
from infra.settings import Settings

T = TypeVar("T")

# How long to wait for renewed credentials; AWS continues meanwhile.
PATIENCE_S = 15 * 60.0


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
            self._deployed = deployed.look(self.engine, self._bucket_name, self._region)
        return self._deployed

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
