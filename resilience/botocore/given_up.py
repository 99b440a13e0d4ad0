"""The traces that botocore's own retries leave in an answer when they give up.

`ClientError` says "reached max retries" by them, and loggers read them.
"""

from collections.abc import Mapping
from typing import Any


_MARKS: Mapping[str, str] = {
    "attempts-exhausted": "MaxAttemptsReached",
    "retry-budget": "RetryQuotaReached",
}


def mark(event: Mapping[str, Any], reason: str, max_attempts: int) -> None:
    """Mark the answer in the `needs-retry` *event*, after which nothing is repeated.

    Args:
        event: what botocore gave.
        reason: why the engine ended the call.
        max_attempts: that the policy allows.
    """
    retries = event["request_dict"]["context"].get("retries")
    if retries is not None:
        retries["max"] = max(retries.get("max", 0), max_attempts)
    word = _MARKS.get(reason)
    if word is not None and event["response"] is not None:
        metadata = event["response"][1].setdefault("ResponseMetadata", {})
        metadata[word] = True
