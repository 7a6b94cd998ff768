"""What the user sees of an experiment: its steps, the running load, messages and problems."""

import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn
from rich.status import Status
from rich.table import Table

from experiment.place import Progress as LoadProgress
from report.escapes import terminal_lines


def shown(text: str) -> str:
    """Text as it stands: no control sequence, no command to a CI system, no markup."""
    return escape(terminal_lines(text))


class Screen:
    """Steps on a terminal, with live lines at the bottom; plain lines now and then in a pipeline's log.

    Args:
        expected: by step, how long it takes and the source of that figure.
        quiet_every_s: without a terminal, a line of progress at most this often.
    """

    def __init__(self, *, expected: Mapping[str, str] | None = None, quiet_every_s: float = 30.0) -> None:
        self.console = Console(highlight=False, soft_wrap=True)
        self.slots = ""
        self._expected = expected or {}
        self._quiet_every_s = quiet_every_s
        self._status: Status | None = None
        self._live: Live | None = None
        self._bar = Progress(BarColumn(None), TextColumn("{task.percentage:>3.0f} %"), expand=True)
        self._task = self._bar.add_task("", total=1.0)
        self._last_line_s = float("-inf")
        self._step = ""

    def __enter__(self) -> Self:
        """Nothing is drawn before the first step."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Give the terminal back."""
        self.end_live()

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        """A step from its first line to its last."""
        self.end_live()
        self.console.print(f"[bold]{name}[/]  {shown(self._expected.get(name, ''))}".rstrip())
        began_s, outer = time.monotonic(), self._step
        self._step = name
        try:
            yield
        finally:
            self.end_live()
            self._step = outer
            seconds = time.monotonic() - began_s
            took = f"took {seconds / 60:.1f} min" if seconds >= 60 else f"{seconds:.0f} s"
            self.console.print(f"  [dim]{name}: {took}[/]")

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self.end_live()
        self.console.print("\n".join(f"  {line}" if line else "" for line in shown(text).split("\n")))

    def problem(self, text: str) -> None:
        """Print a problem; it will be in the report."""
        self.end_live()
        sys.stderr.write(f"{terminal_lines(text)}\n")
        sys.stderr.flush()

    def progress(self, text: str) -> None:
        """How far a step is: replaces the last such line on a terminal."""
        if self.console.is_terminal and self._live is None:
            if self._status is None:
                self._status = self.console.status("")
                self._status.start()
            self._status.update(f"{self._step}: {shown(text)}")
        elif self._due():
            self.console.print(f"  {shown(text)}")

    def load(self, progress: LoadProgress) -> None:
        """The running load."""
        cells = {
            "second": f"{max(0.0, progress.t_s):.0f} of {progress.duration_s:.0f}",
            **progress.cells,
            "slots": self.slots or "-",
        }
        if not self.console.is_terminal:
            if self._due():
                self.console.print("  " + "  ".join(f"{shown(name)} {shown(value)}" for name, value in cells.items()))
            return
        table = Table(expand=True, box=None, padding=(0, 1))
        for name in cells:
            table.add_column(name, justify="right", header_style="dim")
        table.add_row(*map(shown, cells.values()))
        self._bar.update(self._task, completed=min(1.0, max(0.0, progress.t_s) / max(progress.duration_s, 1e-9)))
        group = Group(self._bar, table)
        if self._live is None:
            self.end_live()
            self._live = Live(group, console=self.console, refresh_per_second=4)
            self._live.start()
        else:
            self._live.update(group)

    def end_live(self) -> None:
        """End the live lines; the load's last state stays on the screen."""
        for shown in (self._status, self._live):
            if shown is not None:
                shown.stop()
        self._status = self._live = None

    def table(self, rows: list[tuple[str, ...]]) -> None:
        """A small table without headings."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in rows[0] if rows else ():
            table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*map(shown, row))
        self.console.print(table)

    def _due(self) -> bool:
        if time.monotonic() - self._last_line_s < self._quiet_every_s:
            return False
        self._last_line_s = time.monotonic()
        return True
