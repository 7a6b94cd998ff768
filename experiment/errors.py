"""What goes wrong in an experiment, in words for whoever ran the command; each error has its exit code."""

OK, INVALID, USAGE = 0, 2, 64  # 1, a failed gate, is the report's


class ExperimentError(Exception):
    """A step could not be done; the message says what was wrong, what was seen and what to do."""

    exit_code = INVALID


class OptionsError(ExperimentError):
    """What was asked for cannot be done, and nothing was begun; one line a problem."""

    exit_code = USAGE


class StepError(ExperimentError):
    """A step cannot go on: the step, the resource, what was said, what to do."""

    def __init__(self, step: str, resource: str, said: str, todo: str) -> None:
        super().__init__(f"{step}: {resource}: {said}\n  What to do: {todo}")
        self.step = step
        self.resource = resource
        self.said = said
        self.todo = todo


class PassingError(StepError):
    """Nothing that AWS refused: what it was asked to do goes on meanwhile, and can be asked about later."""


class ExpiredError(PassingError):
    """The credentials ended; they can be renewed."""


class OfflineError(PassingError):
    """AWS cannot be reached, or an answer was cut off: the network comes back."""


class UsageError(StepError):
    """Nothing was begun: something that the user must put right first."""

    exit_code = USAGE
