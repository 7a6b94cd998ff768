"""Errors of an experiment, worded for the user; each has its exit code."""

from contract.exits import INVALID, USAGE


class ExperimentError(Exception):
    """A step could not be done; the message says what was wrong, what was seen and what to do."""

    exit_code = INVALID


class OptionsError(ExperimentError):
    """The options cannot be used, and nothing was begun; one line per problem."""

    exit_code = USAGE


class StepError(ExperimentError):
    """A step cannot continue: the step, the resource, what was seen, what to do."""

    def __init__(self, step: str, resource: str, said: str, todo: str) -> None:
        super().__init__(f"{step}: {resource}: {said}\n  What to do: {todo}")
        self.step = step
        self.resource = resource
        self.said = said
        self.todo = todo


class PassingError(StepError):
    """AWS refused nothing: what it was asked to do continues, and can be asked about later."""


class ExpiredError(PassingError):
    """The credentials expired; they can be renewed."""


class OfflineError(PassingError):
    """AWS cannot be reached, or an answer was cut off; the network may come back."""


class UsageError(StepError):
    """Nothing was begun; the user must change something first."""

    exit_code = USAGE
