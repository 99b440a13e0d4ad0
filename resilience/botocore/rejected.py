"""The error for a call that was refused and not sent."""

from botocore.exceptions import BotoCoreError

from resilience.core.command import Rejection
from resilience.errors import Rejected


class BotocoreRejected(Rejected, BotoCoreError):
    """A call was refused before anything was sent; also a `BotoCoreError`.

    Neither botocore nor s3transfer repeats it. `reason`, `scope` and `retry_after_s`
    say why, and until when.
    """

    fmt = "{message}"

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        scope: str,
        retry_after_s: float | None = None,
    ) -> None:
        # BotoCoreError is next in line and takes nothing but what its format names.
        Exception.__init__(self, message)
        self.message = message
        self.reason = reason
        self.scope = scope
        self.retry_after_s = retry_after_s
        self.kwargs = {"message": message}
        """As every `BotoCoreError` has them."""


def rejected(rejection: Rejection) -> BotocoreRejected:
    """The error for the engine's *rejection*."""
    return BotocoreRejected(
        rejection.message,
        reason=rejection.reason,
        scope=rejection.scope,
        retry_after_s=rejection.retry_after_s,
    )
