"""What one row of the table says; the vocabulary of all row modules.

A row matches the code and a part of the details, never all of them: C-core rewords its
texts from release to release.
"""

from typing import Literal, NamedTuple

from resilience.core.outcome import Kind, Reached


Source = Literal["core", "proxy", "server"]
"""Who writes such a text when it is true: our own side (the channel's state can confirm
it), a proxy (Envoy's headers can), or the server (the code itself is the claim)."""


class Row(NamedTuple):
    """What one kind of end means."""

    code: str
    """The gRPC code; `*` for any."""
    text: str
    """A part of the details; empty matches all."""
    kind: Kind
    reached: Reached
    source: Source = "core"
    unless: str = ""
    """Not when the details hold this, too."""
    exact: bool = False
    """The details hold the text and nothing else."""
    unprocessed: bool = False
    ours: bool = False
    throttled: bool = False
    cause: str = ""
    """The likely cause, for permanent rows."""
    remedy: str = ""

    def matches(self, code: str, details: str) -> bool:
        """Is this the row of a status with *code* and *details*?"""
        if self.code not in (code, "*"):
            return False
        if self.exact:
            return self.text == details
        return self.text in details and not (self.unless and self.unless in details)


PORT = "check the port, and that a proxy in between speaks HTTP/2"
LIMIT = "raise the limit in the channel or server options, or send less at a time"
"""Remedies that several rows name."""
