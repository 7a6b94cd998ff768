"""What to do about a check that did not pass, so that the next run passes it."""

from dataclasses import replace

from report.checks.check import FAIL, WARN, RunCheck

_QUIETER = (
    "close other programs, or offer less: a lower --load-scale, or on AWS more load tasks (loadTasks) or a larger task"
)
_CHANGED = (
    "if the folder was edited or copied in part, go back to the original; if the original says it too, keep it and "
    "report it as a defect, and run again"
)
REMEDIES = {
    "Place known": "let `where` of run.json be what the master wrote; if the folder is another program's, this report "
    "cannot judge it",
    "Run described": _CHANGED,
    "Counts add up": _CHANGED,
    "Offered as planned": _CHANGED,
    "Latencies counted": _CHANGED,
    "Single arrivals": _CHANGED,
    "Events in order": _CHANGED,
    "Servers recorded": "run again; if it repeats, close other programs: the rehearsal could not write every second",
    "Nodes kept running": "see the node's log for why it ended, then run again",
    "Workers stayed": "see the worker's output for why it was silent, then run again",
    "Data complete": "collect the run again if its files are elsewhere; what is missing for good needs a new run",
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
    "Arrivals as distributed": _QUIETER,
    "Seconds independent": "read p-values of placebo windows and the smallest effect with care; for an effect with an "
    "interval let slots move many times (--cycles)",
    "Seconds steady": "let the system settle before it is measured (a longer phase before the move), look at keys and "
    "CPU in the timeline for what grows, and use --cycles: a drift common to both moves of a block cancels",
    "Changes declared": "look at these seconds in the timeline for what else changed (CPU, environments, other "
    "programs); if it recurs, run again without it",
}  # fmt: skip
"""By the check's name."""


def with_remedy(check: RunCheck) -> RunCheck:
    """The check with what to do about it, if it failed or is a note, and does not say so itself."""
    bad = check.state in (WARN, FAIL) and not check.remedy
    return replace(check, remedy=REMEDIES.get(check.name, "")) if bad else check
