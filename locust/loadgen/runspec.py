"""What a run is to do, checked."""

from dataclasses import dataclass

from contract.profiles import Profile
from contract.runfolder import TIMINGS
from loadgen.messages import RunPlan


@dataclass(frozen=True)
class RunSpec:
    """The load of one run, and the limits that its arrivals have."""

    profile: Profile
    host: str
    connection: str = "new"
    time_limit_s: float = 20.0
    connect_limit_s: float = 5.0
    max_in_flight: int = 8192
    late_threshold_ms: float = 10.0
    timings: tuple[str, ...] = TIMINGS
    warm: int = 0  # environments to be warm at second 0

    def plan(self, start_unix_s: float, warm: int) -> RunPlan:
        """What a worker needs to know of it; `warm`: its part of the warming."""
        return {
            "profile": self.profile.text,
            "scale": str(self.profile.scale),
            "compress": str(self.profile.compress),
            "host": self.host,
            "connection": self.connection,
            "timings": list(self.timings),
            "time_limit_s": self.time_limit_s,
            "connect_limit_s": self.connect_limit_s,
            "max_in_flight": self.max_in_flight,
            "start_unix_s": start_unix_s,
            "warm": warm,
        }
