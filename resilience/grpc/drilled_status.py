"""How a fault looks to whoever made the call: grpc's own words, signed by the drill.

The words are those by which real ends of the sort are known, so that everything above
takes them as it would take real ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from .finished import FinishedCall


if TYPE_CHECKING:
    from resilience.drilling.flow import End
    from resilience.drilling.model import Fault
    from resilience.drilling.seam import Seam

_WORDS = {
    "refused": "failed to connect to all addresses; last error: UNKNOWN: Failed to "
    "connect to remote host: connect: Connection refused (111)",
    "reset": "recvmsg:Connection reset by peer",
    "cut": "recvmsg:Connection reset by peer",
    "late": "Deadline Exceeded",
}


class Status(NamedTuple):
    """A status that no server gave."""

    code: grpc.StatusCode
    details: str
    trailing: tuple[tuple[str, str], ...] = ()

    @property
    def debug_text(self) -> str:
        """As C-core would say it."""
        return f"UNKNOWN:{self.details} {{grpc_status:{self.code.value[0]}}}"


CANCELLED = Status(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")


def status_of(seam: Seam, fault: Fault, end: End) -> Status:
    """The status that stands for *end*, which is not the native one."""
    if end == "status":
        code = getattr(grpc.StatusCode, fault.code, grpc.StatusCode.UNAVAILABLE)
        trailing: tuple[tuple[str, str], ...] = ()
        if fault.pushback is not None:
            wait_ms = round(fault.pushback * 1000)
            trailing = (("grpc-retry-pushback-ms", str(wait_ms)),)
        return Status(code, seam.words(fault.message or "injected"), trailing)
    late = end == "late"
    code = grpc.StatusCode.DEADLINE_EXCEEDED if late else grpc.StatusCode.UNAVAILABLE
    return Status(code, seam.words(_WORDS[end]))


class Injected(FinishedCall):
    """A finished call that a fault has ended, and its error. Immutable."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.details)
        self._status = status

    def code(self) -> Any:
        """The status code."""
        return self._status.code

    def details(self) -> Any:
        """The status details."""
        return self._status.details

    def trailing_metadata(self) -> Any:
        """What the fault asks for."""
        return self._status.trailing

    def debug_error_string(self) -> str:
        """As C-core would say it."""
        return self._status.debug_text

    def __str__(self) -> str:
        return (
            f"<{type(self).__name__} of RPC that terminated with:\n"
            f'\tstatus = {self._status.code}\n\tdetails = "{self._status.details}"\n>'
        )

    __repr__ = __str__
