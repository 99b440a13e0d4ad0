"""A call that has ended without a server, as grpcio's callers see one.

Only what follows from "it is over" is said here: refused calls and injected faults add
their own status, and nothing of this may differ between the two.
"""

from collections.abc import Callable
from typing import Any

import grpc


class FinishedCall(grpc.RpcError, grpc.Call, grpc.Future):
    """A finished call that is its own error. Safe to share between threads."""

    def code(self) -> Any:
        """The status code: each kind of end has its own."""
        raise NotImplementedError

    def details(self) -> Any:
        """The status details."""
        raise NotImplementedError

    def trailing_metadata(self) -> Any:
        """What the end asks of retry layers above."""
        raise NotImplementedError

    def initial_metadata(self) -> Any:
        """Empty: no headers came."""
        return ()

    def is_active(self) -> bool:
        """False: it has ended."""
        return False

    def time_remaining(self) -> Any:
        """None."""
        return None

    def cancel(self) -> bool:
        """False: there is nothing to cancel."""
        return False

    def cancelled(self) -> bool:
        """False."""
        return False

    def running(self) -> bool:
        """False."""
        return False

    def done(self) -> bool:
        """True."""
        return True

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """False: the call has ended, *callback* is not called."""
        return False

    def result(self, timeout: float | None = None) -> Any:
        """Raise this error."""
        raise self

    def exception(self, timeout: float | None = None) -> Exception:
        """This error."""
        return self

    def traceback(self, timeout: float | None = None) -> Any:
        """Where it was raised; None when it was not."""
        return self.__traceback__

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        """Call *fn* with this error at once."""
        fn(self)
