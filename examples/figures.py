"""How figures are written in the tables: three digits at most, with their unit."""


def duration(seconds: float) -> str:
    """*seconds* in the largest unit that keeps it at or above one, down to µs."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= 0.9995 * size:
            return f"{_three_digits(seconds / size)} {unit}"
    return f"{_three_digits(seconds / 1e-6)} µs"


def _three_digits(value: float) -> str:
    return f"{value:.3g}" if value < 999.5 else f"{value:.0f}"
