"""What to do about a check that did not pass, so that the next run passes it."""

from dataclasses import replace

from report.checks.check import FAIL, WARN, RunCheck

_QUIETER = (
    "close other programs, or offer less: a lower --load-scale, or on AWS more load tasks (loadTasks) or a larger task"
)
REMEDIES = {
    "Data complete": "collect the run again if its files are elsewhere; what is missing for good needs a new run",
    "Place known": "make run folders with this project's own commands, and leave their files as they are",
    "Run described": "make the run again; run.json is written by the load generator and must be left as it is",
    "Counts add up": "collect the run again if its files were changed since; else run again",
    "Offered as planned": "let the load run as its profile says; if files were changed since, collect the run again",
    "Latencies counted": "collect the run again if its files were changed since; else run again",
    "Single arrivals": "collect the run again if its files were changed since; else run again",
    "Events in order": "make one reshard in a run, and none by hand while it goes; or compare moves with --cycles",
    "Servers recorded": "run again, and let the command go on until its report; on AWS collect the run again",
    "Workers stayed": _QUIETER,
    "Nodes kept running": "see the nodes' logs for why they restarted, then run again",
    "Ended by itself": "let the next run end by itself",
    "No problems reported": "mend what they name, then run again",
    "Schedule delivered": _QUIETER + "; see the causes of missed arrivals under Failures",
    "Sent on time": _QUIETER,
    "Generator not saturated": "give the load more workers (--set loadTasks=N), or offer less (--load-scale)",
    "Machine not saturated": "close other programs, or offer less: a lower --load-scale",
    "Other programs": "close them, or rehearse on a machine that has nothing else to do",
    "Function environments": "allow more (--environments N; on AWS a higher concurrency limit), or offer less "
    "(--load-scale)",
    "Cold starts": "run again; if it repeats, see what the command said of the warming, and allow more environments "
    "(--environments N; on AWS a higher concurrency limit)",
    "Nodes agree": "look into the nodes that audit.json's `nodes` names before anything fails over: what they "
    "hold apart from the others may be lost then",
    "Audit complete": "audit again while the cluster stands (on AWS: python -m experiment audit); once it is gone "
    "only a new run helps",
    "Clocks agree": "synchronise the clocks of the workers' machines (chrony, systemd-timesyncd)",
    "Pairs comparable": "give the reshard's phase an earlier phase with the same length and rates, both beginning on a "
    "whole second; if the rates differ because arrivals were missed, see Schedule delivered",
    "Sham comparable": "run again; if it repeats, make the rate steadier around the moves, so that the sham's keys "
    "can be predicted",
    "Sham in the control": "run again with the sham, at the same place in the control phase as the reshard in its own",
    "Room around the move": "place the reshard in the middle of its phase (--reshard-at), or make the phase longer "
    "(a smaller --load-compress)",
    "Reshard played": "see the command's output for what kept it from starting, then run again",
    "Reshard finished under load": "place the reshard earlier (--reshard-at), move slots faster (--slots-per-s), or "
    "make the phase longer (a smaller --load-compress); if it failed, see its message",
}  # fmt: skip
"""By the check's name."""


def with_remedy(check: RunCheck) -> RunCheck:
    """The check with what to do about it, if it failed or is a note, and does not say so itself."""
    bad = check.state in (WARN, FAIL) and not check.remedy
    return replace(check, remedy=REMEDIES.get(check.name, "")) if bad else check
