"""What the declared load amounts to: how long, how many arrivals, how many a second at most."""

from dataclasses import dataclass
from pathlib import Path

from contract import profiles
from contract.schedule import Schedule
from experiment.errors import UsageError
from infra.settings import Settings


@dataclass(frozen=True)
class LoadFacts:
    """The load of one run."""

    arrivals: int
    duration_s: float
    peak_per_s: float


def facts(settings: Settings, root: Path) -> LoadFacts:
    """Read from the profile that the stack's settings name, as the generator will read it."""
    try:
        profile = profiles.load(
            settings.load_profile,
            scale=settings.load_scale,
            compress=settings.load_compress,
            profiles_dir=root / "locust" / "profiles",
        )
        schedule = Schedule(profile)
    except profiles.ProfileError as error:
        raise UsageError("settings", "loadProfile", str(error), "pulumi config set loadProfile NAME") from None
    peak = max(float(max(phase.rate_from, phase.rate_to)) for phase in profile.phases)
    return LoadFacts(schedule.total, float(schedule.duration_s), peak)
