"""Numbers and states as the tables of the report show them."""

_NO_VALUE = "-"
_MARKS = {
    "pass": "✓ pass",
    "warn": "! note",
    "fail": "✗ fail",
    "unknown": "? unknown",
    "passed": "✓ held",
    "failed": "✗ failed",
}


def mark(state: str) -> str:
    """A check's or gate's state with its sign, so that no state is told by colour alone."""
    return _MARKS.get(state, state)


def milliseconds(value: object) -> str:
    """A latency for a table: three decimals below 10 ms, fewer above; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NO_VALUE
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 1000 else f"{value:,.0f}"


def signed(value: object) -> str:
    """A difference of latencies, with its sign."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NO_VALUE
    return f"+{milliseconds(value)}" if value >= 0 else milliseconds(value)


def dollars(value: object) -> str:
    """An amount in dollars with its cents; a dash where it is unknown."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NO_VALUE
    return f"${value:,.2f}"


def quantity(value: object, unit: str) -> str:
    """A number with its unit: a time in ms, a percentage, or a plain one; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NO_VALUE
    return f"{milliseconds(value)} ms" if unit == "ms" else f"{value:,.6g} {unit}".rstrip()


UNITS = {"ms": "ms", "share": "percentage points", "arrivals": "arrivals"}


def change(value: object, unit: str, *, to: object = None) -> str:
    """A difference with its sign and unit, or two: of times in ms, of shares in percentage points, of arrivals."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NO_VALUE
    factor = 100 if unit == "share" else 1
    figures = [signed(end) if unit == "ms" else f"{factor * end:+.3g}" for end in (value, to) if isinstance(end, float)]
    return f"{' to '.join(figures)} {UNITS[unit]}"


def p_value(value: object) -> str:
    """A p-value with two digits; a dash where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return _NO_VALUE
    return "p < 0.001" if value < 0.001 else f"p = {value:.2g}"
