"""The declared stack, running on this machine: clusters, functions, load generator."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from experiment.errors import ExperimentError
from experiment.program import ProgramError
from rehearsal.cluster import Cluster
from rehearsal.declared import DeclaredStack
from rehearsal.functions import LocalFunctions
from rehearsal.load import LocalLoad
from rehearsal.names import LocalNames
from rehearsal.processes import Processes


class LocalStack:
    """What is declared, started part by part; `stop` ends every process and removes every temporary file.

    Args:
        declared: what the program declares.
        environments: the most environments of the function behind the listener.
        server: a valkey-server or redis-server program; None for the bundled one.

    Raises:
        ProgramError: TLS is declared, which the bundled server does not have.
    """

    def __init__(self, declared: DeclaredStack, *, environments: int, server: Path | None) -> None:
        if declared.cache.tls:
            raise ProgramError(
                "transitEncryption: true cannot be rehearsed, because the bundled Valkey has no TLS; rehearse with "
                "--set transitEncryption=false"
            )
        self.declared = declared
        self.names = LocalNames()
        self._folder = Path(tempfile.mkdtemp(prefix="rehearsal-"))
        self.processes = Processes(self._folder / "logs")
        cache = declared.cache
        self.clusters = {
            group: Cluster(self.processes, shards=cache.shards, replicas=cache.replicas, group=group, server=server)
            for group in ("application", "sham")
        }
        self.functions = LocalFunctions(declared, environments=environments, folder=self._folder, names=self.names)
        self.load = LocalLoad(declared, self.processes, self.names)

    @property
    def cluster(self) -> Cluster:
        """The cluster that the application uses."""
        return self.clusters["application"]

    def start_clusters(self, *, sham: bool) -> None:
        """Start the declared cluster and, for a sham, one of the same shape that the application does not know."""
        if not sham:
            del self.clusters["sham"]
        _all_at_once([cluster.start for cluster in self.clusters.values()])
        cache = self.declared.cache
        self.names.stand_in(cache.host, "127.0.0.1", "the configuration endpoint")
        self.names.substitutions["TLS, node type, engine version"] = (
            f"{cache.engine} is declared; {' '.join(self.cluster.engine().values())} runs here"
        )

    def start_functions(self, run_dir: Path) -> None:
        """Host the declared functions; their output goes into the run folder."""
        self.functions.start(run_dir, cache_port=self.cluster.primaries[0].port)

    def start_load(self, environment: Mapping[str, str]) -> None:
        """Start master and workers, with these variables in place of the declared ones."""
        self.load.start(self.functions.url, environment)

    def stop_sham(self) -> None:
        """End the sham's cluster, so that it uses no CPU during the rest of the run."""
        self.clusters.pop("sham").stop()  # removed first: the observer must not ask nodes that are ending

    def stop(self) -> None:
        """End everything, in the reverse order of starting. It may be called again."""
        self.load.stop()
        self.functions.stop()
        for cluster in self.clusters.values():
            cluster.stop()
        self.processes.stop_all()
        shutil.rmtree(self._folder, ignore_errors=True)


def _all_at_once(starts: Sequence[Callable[[], object]]) -> None:
    """Call each in a thread of its own; raises the first failure once all have ended."""
    failures: list[ExperimentError] = []

    def call(start: Callable[[], object]) -> None:
        try:
            start()
        except ExperimentError as error:
            failures.append(error)
        except Exception as error:  # noqa: BLE001 - raised below, in the caller's thread
            failures.append(ExperimentError(f"{type(error).__name__}: {error}"))

    threads = [threading.Thread(target=call, args=(start,)) for start in starts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
