"""The part of Pulumi's Automation API that the experiment needs; every CLI failure becomes a StepError."""

import re
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pulumi import automation

from experiment.aws.asking import RENEW, text_means_expired
from experiment.errors import ExpiredError, StepError, UsageError
from infra import settings as stack_settings

Say = Callable[[str], None]


class Engine:
    """One stack of the project in `root`."""

    def __init__(self, root: Path, stack: str, say: Say = lambda _line: None) -> None:
        self.root = root
        self.name = stack
        self._say = say
        self._stack: automation.Stack | None = None

    def open(self, *, create: bool = False) -> automation.Stack:
        """The stack; made first if `create`."""
        if self._stack is None:
            with self._asking("open"):
                pick = automation.create_or_select_stack if create else automation.select_stack
                self._stack = pick(stack_name=self.name, work_dir=str(self.root))
        return self._stack

    def settings(self) -> stack_settings.Settings:
        """The stack's settings, checked as the program checks them; Pulumi.yaml's defaults where none is set."""
        prefix = stack_settings.project_name(self.root) + ":"
        with self._asking("config"):
            config = self.open().get_all_config()
        values = stack_settings.defaults(self.root)
        values.update(
            {key.removeprefix(prefix): value.value for key, value in config.items() if key.startswith(prefix)}
        )
        try:
            return stack_settings.check(values, root=self.root)
        except stack_settings.SettingsError as error:
            raise UsageError("settings", f"stack {self.name}", str(error), "pulumi config set NAME VALUE") from None

    def region(self) -> tuple[str | None, str | None]:
        """`aws:region` and `aws:profile` of the stack."""
        with self._asking("config"):
            config = self.open().get_all_config()
        region, profile = config.get("aws:region"), config.get("aws:profile")
        return (region.value if region else None), (profile.value if profile else None)

    def set(self, name: str, value: object) -> None:
        """Set one setting of the stack."""
        with self._asking("config"):
            self.open().set_config(name, automation.ConfigValue(value=str(value)))

    def up(self, only: Sequence[str] = ()) -> Mapping[str, int]:
        """Bring the stack, or `only` these URNs, to what the program declares; how many were created, updated, ..."""
        with self._asking("up"):
            result = self.open().up(on_output=self._say, color="never", target=list(only) or None)
        return {str(kind): count for kind, count in (result.summary.resource_changes or {}).items()}

    def refresh(self) -> None:
        """Update Pulumi's state from AWS."""
        with self._asking("refresh"):
            self.open().refresh(on_output=self._say, color="never")

    def destroy(self) -> None:
        """Remove the stack's resources."""
        with self._asking("destroy"):
            self.open().destroy(on_output=self._say, color="never")

    def exports(self) -> dict[str, Any]:
        """What the program exported; empty before the first `up` and after a `destroy`."""
        with self._asking("outputs"):
            return {name: output.value for name, output in self.open().outputs().items()}

    def retained(self, kind: str) -> dict[str, bool]:
        """For types that begin with `kind`: URN -> whether `destroy` keeps the resource, from Pulumi's state."""
        with self._asking("state"):
            deployment: Any = self.open().export_stack().deployment or {}
        return {
            str(resource["urn"]): bool(resource.get("retainOnDelete"))
            for resource in deployment.get("resources") or ()
            if str(resource.get("type", "")).startswith(kind)
        }

    @contextmanager
    def _asking(self, step: str) -> Generator[None]:
        resource = f"stack {self.name}"
        try:
            yield
        except automation.StackNotFoundError:
            raise UsageError(
                step, resource, "Pulumi knows no such stack", f"pulumi stack init {self.name}, or name another: --stack"
            ) from None
        except automation.ConcurrentUpdateError:
            raise StepError(
                step,
                resource,
                "another Pulumi update works on it",
                "wait for it; if none runs any more: `pulumi cancel`, then run the same command again",
            ) from None
        except automation.InvalidVersionError as error:
            raise UsageError(step, resource, str(error), "install a newer Pulumi CLI") from None
        except FileNotFoundError as error:
            if error.filename not in (None, "pulumi"):
                raise
            raise UsageError(
                step, resource, "there is no `pulumi` on PATH", "install the Pulumi CLI (docs/aws.md)"
            ) from None
        except automation.CommandError as error:
            text = str(error)
            if text_means_expired(text):
                raise ExpiredError(step, resource, _error_lines(text), RENEW) from error
            if "PULUMI_CONFIG_PASSPHRASE" in text:
                raise UsageError(
                    step, resource, "no passphrase for its secrets", "set PULUMI_CONFIG_PASSPHRASE"
                ) from None
            raise StepError(
                step, resource, _error_lines(text), "fix that, then run the same command again: it resumes"
            ) from error


def _error_lines(text: str) -> str:
    """The CLI's error messages: its Diagnostics without warnings, else its lines with `error`."""
    section = re.search(
        r"^\s*Diagnostics:\n(.*?)(?=^\s*(?:Outputs|Resources|Duration|Policies)\b|\Z)", text, re.MULTILINE | re.DOTALL
    )
    if section:
        lines = [line for line in section[1].splitlines() if line.strip() and "warning: " not in line]
    else:
        lines = [
            line for line in text.splitlines() if re.search(r"\berror\b", line, re.IGNORECASE)
        ] or text.splitlines()
    kept = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    return "\n    ".join(kept[-16:])[:4000]
