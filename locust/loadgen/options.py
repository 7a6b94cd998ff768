"""The generator's options: Locust custom arguments, so the web UI's start form has them; each has its variable.

All are texts, checked here and not by argparse, so that a wrong one is named with what is allowed, in the form too.
"""

from argparse import Namespace
from typing import Any

from contract import profiles
from contract.profiles import Profile, ProfileError
from contract.schedule import Schedule
from loadgen import warming
from loadgen.resolver import Target, TargetError
from loadgen.runspec import RunSpec

CONNECTIONS = ("new", "keep-alive")


class OptionError(ValueError):
    """An option that cannot be used: the message names it, the value seen and what is allowed."""


# (option, environment variable, default, help, in the web UI's form?)
_OPTIONS = (
    (
        "--load-profile",
        "LOAD_PROFILE",
        "artillery-50min",
        f"Load profile: {', '.join(profiles.shipped())}, or a file in Artillery's phases syntax",
        True,
    ),
    ("--load-scale", "LOAD_SCALE", "3", "Multiplies the profile's rates (3: the original's three load tasks)", True),
    ("--load-compress", "LOAD_COMPRESS", "1", "Divides the profile's durations; rates are kept", True),
    ("--load-time-limit-s", "LOAD_TIME_LIMIT_S", "20", "A reply later than this many seconds is a failure", True),
    ("--load-max-in-flight", "LOAD_MAX_IN_FLIGHT", "8192", "Arrivals in flight a worker; over it: missed", False),
    (
        "--load-warm",
        "LOAD_WARM",
        "0",
        "Function environments to be warm at second 0: a number, or peak: as many as the highest rate needs",
        False,
    ),
    ("--run-dir", "LOAD_RUN_DIR", "", "The run folder (default: runs/<UTC start>-<stack>)", True),
    ("--load-stack", "LOAD_STACK", "local", "Name of the stack, for the run folder's name", False),
    ("--load-workers", "LOAD_WORKERS", "1", "Workers that --load-autostart waits for", False),
    ("--load-autostart", "LOAD_AUTOSTART", "false", "true: start one run once the workers are there", False),
)


def add(parser: Any, **_: object) -> None:
    """Declare the options (`init_command_line_parser`)."""
    for flag, variable, default, text, shown in _OPTIONS:
        parser.add_argument(
            flag, env_var=variable, default=default, type=str, help=text, include_in_web_ui=shown
        )  # fmt: skip
    parser.add_argument(
        "--load-connection",
        env_var="LOAD_CONNECTION",
        default=CONNECTIONS[0],
        choices=[*CONNECTIONS],
        help="A new connection per arrival, as the original's, or connections kept alive",
        include_in_web_ui=True,
    )


def spec_of(options: Namespace, host: str | None) -> RunSpec:
    """The run that the options describe, checked."""
    if not host:
        raise OptionError("--host is missing: give the URL under test, such as http://name/")
    try:
        Target(host)
        profile = profiles.load(options.load_profile, scale=options.load_scale, compress=options.load_compress)
    except (TargetError, ProfileError) as error:
        raise OptionError(str(error)) from None
    if options.load_connection not in CONNECTIONS:
        raise OptionError(f"--load-connection {options.load_connection!r}: must be one of {', '.join(CONNECTIONS)}")
    limit_s = number(options.load_time_limit_s, "--load-time-limit-s", 0.01, 120)
    return RunSpec(
        profile,
        host,
        options.load_connection,
        time_limit_s=limit_s,
        connect_limit_s=min(5.0, limit_s),
        max_in_flight=int(number(options.load_max_in_flight, "--load-max-in-flight", 1, 1_000_000)),
        warm=warm_of(options.load_warm, profile),
    )


def warm_of(text: str, profile: Profile) -> int:
    """The environments to be warm at second 0."""
    if text == "peak":
        return warming.for_peak(Schedule(profile))
    if not text.isascii() or not text.isdigit() or len(text) > 5:
        raise OptionError(f"--load-warm {text!r}: must be peak, or a whole number from 0 to 99999")
    return int(text)


def workers_of(options: Namespace) -> int:
    """The declared number of workers."""
    return int(number(options.load_workers, "--load-workers", 1, 10_000))


def autostart_of(options: Namespace) -> bool:
    """Whether to start without being asked."""
    if options.load_autostart not in ("true", "false"):
        raise OptionError(f"--load-autostart {options.load_autostart!r}: must be true or false")
    return options.load_autostart == "true"


def number(text: str, name: str, low: float, high: float) -> float:
    """A number within limits."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = float("nan")
    if not low <= value <= high:
        raise OptionError(f"{name} {text!r}: must be a number from {low:g} to {high:g}")
    return value
