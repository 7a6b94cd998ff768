"""Numbers as a sentence or the headline's table says them."""


def duration(value_ms: float | None) -> str:
    """Three significant figures in ms, or in s from one second on; "unknown" for None."""
    if value_ms is None:
        return "unknown"
    if abs(value_ms) >= 1000:
        return f"{value_ms / 1000:.3g} s"
    return f"{figures(value_ms)} ms"


def figures(value: float, sign: str = "") -> str:
    """Three significant figures; `sign` "+" gives both signs."""
    if abs(value) >= 1000:
        return f"{value:{sign}.0f}"
    return f"{value:{sign}.3f}" if abs(value) < 1 else f"{value:{sign}.3g}"


def percent(value: float, sign: str = "") -> str:
    """Two significant figures or whole percents: 0.04, 6.0, 24."""
    size = abs(value)
    return f"{value:{sign}.{0 if size >= 10 or not size else 1 if size >= 1 else 2}f}"


def times(count: int, thing: str) -> str:
    """A count and its noun: 1 session, 2 sessions."""
    return f"{count:,} {thing}{'' if count == 1 else 's'}"
