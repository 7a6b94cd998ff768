"""The declared load: duration, number of arrivals, peak rate."""

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


def schedule(settings: Settings, root: Path) -> Schedule:
    """The schedule of the stack's profile, as the generator will read it."""
    try:
        profile = profiles.load(
            settings.load_profile,
            scale=settings.load_scale,
            compress=settings.load_compress,
            profiles_dir=root / "locust" / "profiles",
        )
        return Schedule(profile)
    except profiles.ProfileError as error:
        raise UsageError("settings", "loadProfile", str(error), "pulumi config set loadProfile NAME") from None


def facts(settings: Settings, root: Path) -> LoadFacts:
    """The figures that quotas and prices depend on."""
    planned = schedule(settings, root)
    peak = max(float(max(phase.rate_from, phase.rate_to)) for phase in planned.phases)
    return LoadFacts(planned.total, float(planned.duration_s), peak)
