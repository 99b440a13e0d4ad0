"""How long AWS asks a caller to wait, in its three ways of saying so.

`x-amz-retry-after` in milliseconds (retry specification 2.1), the standard
`Retry-After` in seconds or as a date, `retryAfterSeconds` members of modelled errors.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from resilience.core.outcome import PushbackForm


Hint = tuple[float | None, PushbackForm]
LONGEST_S = 86_400.0
"""A longer wish is a mistake, and no hint at all."""
MEMBERS = ("retryAfterSeconds", "RetryAfterSeconds", "retryAfter")


def wait_hint(parsed: Mapping[str, Any], headers: Mapping[str, str]) -> Hint:
    """(seconds or None, how they are meant) of an error answer.

    Args:
        parsed: botocore's parsed response, with the error's own members.
        headers: of the response, names in lower case.
    """
    wait = _seconds(headers.get("x-amz-retry-after"), 1000)
    if wait is not None:
        return wait, "clamped"
    text = headers.get("retry-after")
    wait = _seconds(text, 1)
    if wait is None:
        wait = _until(text)
    for member in MEMBERS if wait is None else ():
        found = parsed.get(member)
        wait = _until(found) if isinstance(found, datetime) else _seconds(found, 1)
        if wait is not None:
            break
    return wait, "exact" if wait is None else "hint"


def _seconds(value: object, per_second: int) -> float | None:
    """Seconds from a whole number; None when it is negative or nonsense."""
    try:
        number = int(str(value)) / per_second
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number <= LONGEST_S else None


def _until(value: object) -> float | None:
    """Seconds until a date; 0 when it has passed."""
    if value is None:
        return None
    try:
        if not isinstance(value, datetime):
            value = parsedate_to_datetime(str(value))
        left = (value - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return None
    return max(0.0, left) if left <= LONGEST_S else None
