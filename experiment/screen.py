"""What the user sees: each step with its expected duration, how far it is, how long it took."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.status import Status
from rich.table import Table

from experiment.durations import EXPECTED

_QUIET_EVERY_S = 30.0  # without a terminal, a line of progress at most this often


class Screen:
    """Steps on a terminal with a live line at the bottom; in a pipeline's log plain lines, now and then."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._last_line = 0.0
        self._step = ""

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        """A step from its first line to its last."""
        expected = EXPECTED.get(name)
        self.console.print(
            f"[bold]{name}[/]" + (f"  {expected.text()} ({escape(expected.source)})" if expected else "")
        )
        began, outer = time.monotonic(), self._step
        self._step = name
        live = self.console.is_terminal and self._status is None
        if live:
            self._status = self.console.status(name)
            self._status.start()
        try:
            yield
        finally:
            if live and self._status is not None:
                self._status.stop()
                self._status = None
            self._step = outer
            seconds = time.monotonic() - began
            self.console.print(
                f"  {name} took {seconds / 60:.1f} min" if seconds >= 60 else f"  {name}: {seconds:.0f} s"
            )

    def say(self, text: str) -> None:
        """A line that stays."""
        self.console.print(f"  {escape(text)}")

    def progress(self, text: str) -> None:
        """How far it is: replaces the last such line on a terminal."""
        if self._status is not None:
            self._status.update(f"{self._step}: {escape(text)}")
        elif time.monotonic() - self._last_line >= _QUIET_EVERY_S:
            self._last_line = time.monotonic()
            self.say(text)

    def table(self, title: str, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
        """A small table."""
        table = Table(title=title, title_justify="left", box=None, pad_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.console.print(table)
