"""The table that says what a gRPC status means; one row for each known end.

Statuses alone say little: `UNAVAILABLE` is made by C-core, by proxies and by servers.
The rows stand in `rows/`, by who made the end; the first one that matches counts.
Nothing is decided here but the meaning.
"""

from .rows import broken_off, limits, proxies, unreachable
from .rows.row import Row


_BY_CODE = (
    Row(
        "UNIMPLEMENTED",
        "",
        "permanent",
        "no",
        "server",
        cause="the server does not have this method",
        remedy="check the service's name, its version, and the route to it",
    ),
    Row("UNAVAILABLE", "", "transport", "maybe"),
    Row("*", "", "application", "yes", "server"),
)
_BY_TEXT: tuple[Row, ...] = (
    *unreachable.ROWS,
    *proxies.ENVOY,
    *limits.ROWS,
    *proxies.HTTP,
    *broken_off.RESETS,
    *broken_off.GARBLED,
    *broken_off.LOCAL,
)

ROWS: tuple[Row, ...] = (*_BY_TEXT, *_BY_CODE)
"""All rows, in the order in which they are tried."""
ROWS_OF_ENVOY: tuple[Row, ...] = (*_BY_TEXT, *proxies.SIGNED_BY_ENVOY)
"""The same for a reply that is Envoy's own by its headers."""

ANSWER = Row("*", "", "application", "yes", "server")
"""For a status that is known to be the application's own."""
ATTEMPT_TIMEOUT = Row("DEADLINE_EXCEEDED", "", "transport", "maybe")
"""For a deadline that passed on our side."""


def row_for(code: str, details: str, rows: tuple[Row, ...] = ROWS) -> Row:
    """The first of *rows* that matches a status with *code* and *details*."""
    for row in rows:
        if row.matches(code, details):
            return row
    return ANSWER
