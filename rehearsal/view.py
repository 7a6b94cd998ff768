"""What the user sees while a rehearsal runs: a live panel on a terminal, a line now and then elsewhere."""

import time
from typing import Any, Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table

_LINE_EVERY_S = 5.0


class View:
    """Steps, then the run's progress, then the result. A context manager, so that the terminal is always restored."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live: Live | None = None
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(None),
            TextColumn("{task.percentage:>3.0f} %"),
            expand=True,
        )
        self._task = self._bar.add_task("", total=1.0)
        self._last_line_s = 0.0
        self.slots = ""

    def __enter__(self) -> Self:
        """Nothing is drawn before the first step."""
        return self

    def __exit__(self, *_error: object) -> None:
        """Give the terminal back."""
        self.end_live()

    def step(self, text: str) -> None:
        """One line about what is being done now."""
        self._console.print(text, markup=False, soft_wrap=True)

    def live(self, state: dict[str, Any], reads_ms: float | None) -> None:
        """The running load: `state` is what the master's /arrivals/live says, `reads_ms` the last read p99."""
        totals: dict[str, Any] = state.get("totals") or {}
        recent: dict[str, Any] = state.get("last_10s") or {}
        t_s, duration_s = float(state.get("t_s") or 0.0), float(state.get("duration_s") or 1.0)
        failed = sum(int(totals.get(name) or 0) for name in ("failed", "missed", "unknown"))
        cells = [
            ("phase", str(state.get("phase") or "-")),
            ("second", f"{max(0.0, t_s):.0f} of {duration_s:.0f}"),
            ("offered", f"{float(recent.get('offered_per_s') or 0):.1f}/s"),
            ("achieved", f"{float(recent.get('ok_per_s') or 0):.1f}/s"),
            ("not ok", str(failed)),
            ("read p99", "-" if reads_ms is None else f"{reads_ms:.3f} ms"),
            ("slots", self.slots or "-"),
        ]
        if not self._console.is_terminal:
            if time.monotonic() - self._last_line_s >= _LINE_EVERY_S:
                self._last_line_s = time.monotonic()
                self._console.print("  ".join(f"{name} {value}" for name, value in cells), markup=False, soft_wrap=True)
            return
        table = Table(expand=True, box=None, padding=(0, 1))
        for name, _ in cells:
            table.add_column(name, justify="right", header_style="dim")
        table.add_row(*(value for _, value in cells))
        self._bar.update(self._task, description="load", completed=min(1.0, max(0.0, t_s) / duration_s))
        group = Group(self._bar, table)
        if self._live is None:
            self._live = Live(group, console=self._console, refresh_per_second=4)
            self._live.start()
        else:
            self._live.update(group)

    def end_live(self) -> None:
        """Take the live panel away; its last state stays on the screen."""
        if self._live is not None:
            self._live.stop()
            self._live = None
