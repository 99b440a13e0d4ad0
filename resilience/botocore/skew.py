"""By how much this host's clock differs from the server's, if an answer shows it.

AWS refuses signatures that are more than five minutes off (S3: fifteen). A wrong clock
is said, with the difference; it is never corrected here: botocore signs by the clock of
the whole process.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime


NAMED_FROM_S = 240.0
"""From four minutes on a difference is named: AWS refuses at five."""
_STAMP = re.compile(r"\b(\d{8}T\d{6}Z)\b")


def note(code: str, error: Mapping[str, object], headers: Mapping[str, str]) -> str:
    """What the clocks have to do with a refused signature; empty: nothing.

    Args:
        code: of the error.
        error: its members; S3 sends the server's time with it.
        headers: of the answer, names in lower case.
    """
    behind = behind_s(error, headers)
    if behind is not None and abs(behind) >= NAMED_FROM_S:
        side = "behind" if behind > 0 else "ahead of"
        return f"this host's clock is {abs(behind):.0f}s {side} the server's: set it"
    late = _late_s(str(error.get("Message") or ""))
    if behind is not None and late is not None and late >= NAMED_FROM_S:
        return (
            f"the clocks agree, but it was read {late:.0f}s after it was signed: "
            "the request was held up on its way"
        )
    if behind is None and code == "RequestTimeTooSkewed":
        return "this host's clock differs from the server's: set it"
    return ""


def behind_s(error: Mapping[str, object], headers: Mapping[str, str]) -> float | None:
    """Seconds by which this clock is behind the server's; None: nothing shows it."""
    now = datetime.now(UTC)
    for name, found, read in (
        ("date", headers, parsedate_to_datetime),
        ("ServerTime", error, datetime.fromisoformat),
    ):
        try:
            return (read(str(found[name])) - now).total_seconds()
        except (KeyError, TypeError, ValueError):
            continue
    return None


def _late_s(message: str) -> float | None:
    """Seconds between signing and reading, from "Signature expired: ..."."""
    found = _STAMP.findall(message)
    if len(found) < 2 or "expired" not in message:
        return None
    try:
        first, *_, last = (datetime.strptime(one, "%Y%m%dT%H%M%SZ") for one in found)  # noqa: DTZ007 - their difference only
    except ValueError:
        return None
    return (last - first).total_seconds()
