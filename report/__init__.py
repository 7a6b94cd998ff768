"""A finished run folder in, HTML and verdict out.

Both names are loaded when they are first asked for: numpy and matplotlib take a second, and a command that is told to
stop within it, or has nothing to report on, need not wait for them.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from report.assemble import ReportResult, build

__all__ = ["ReportResult", "build"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from report import assemble  # noqa: PLC0415 - see above

    return getattr(assemble, name)
