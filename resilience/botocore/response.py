"""What the `needs-retry` event says about the attempt that ended."""

from binascii import crc32
from collections.abc import Mapping
from inspect import iscoroutinefunction
from typing import Any

from resilience.core.outcome import Outcome

from .extract import damaged, from_exception, from_response


REDIRECTS = frozenset({301, 302, 307, 308})
MOVED = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "InvalidEndpointException",
        "PermanentRedirect",
        "TemporaryRedirect",
    }
)
"""Codes by which a service says: ask elsewhere."""
MISDIRECTED = 421
CHECKSUM = "x-amz-crc32"


def outcome_of(event: Mapping[str, Any]) -> Outcome | None:
    """The outcome of a failed attempt; None: the answer is healthy."""
    model = event["operation"]
    error = event["caught_exception"]
    if error is not None:
        found = from_exception(error, sent=True, model=model)
    else:
        http, parsed = event["response"]
        status = http.status_code
        if status < 300:
            metadata = parsed.get("ResponseMetadata") or {}
            # S3's errors with HTTP 200 are marked in the parsed answer first.
            status = metadata.get("HTTPStatusCode", status)
        if status >= 300:
            found = from_response(parsed, model, status=status)
        elif model.service_model.service_name != "dynamodb" or _is_whole(http):
            return None
        else:
            found = damaged()
    return with_invocation(found, event["request_dict"].get("context"))


def with_invocation(outcome: Outcome, context: Mapping[str, Any] | None) -> Outcome:
    """*outcome* with the id that all attempts of its call carry on the wire."""
    retries = (context or {}).get("retries") or {}
    found = retries.get("invocation-id")
    if found is None:
        return outcome
    return outcome._replace(ids=(*outcome.ids, ("invocation_id", str(found))))


def _is_whole(http: Any) -> bool:
    """Does a DynamoDB answer match the checksum it came with?"""
    expected = str(http.headers.get(CHECKSUM, ""))
    if not expected.isdecimal():
        return True
    return crc32(http.content) & 0xFFFFFFFF == int(expected)


def is_hop(event: Mapping[str, Any]) -> bool:
    """Is it an answer that a redirect may follow, which costs nobody anything?

    botocore's own handlers decide whether to follow: a region of S3 that is another
    one, an endpoint that was discovered and has moved.
    """
    if event["response"] is None:
        return False
    http, parsed = event["response"]
    if http.status_code in REDIRECTS or http.status_code == MISDIRECTED:
        return True
    error = parsed.get("Error")
    code = error.get("Code") if isinstance(error, Mapping) else None
    if code in MOVED:
        return True
    return code in {"301", "400"} and event["operation"].name in {
        "HeadBucket",
        "HeadObject",
    }


def is_rewindable(request: Mapping[str, Any]) -> bool:
    """Can the body be sent a second time? botocore would raise instead of the error."""
    body = request.get("body")
    if body is None or isinstance(body, (bytes, bytearray, str, Mapping)):
        return True
    body = getattr(body, "_raw", body)
    if not hasattr(body, "seek") or iscoroutinefunction(body.seek):
        return False
    seekable = getattr(body, "seekable", None)
    return bool(seekable()) if callable(seekable) else True
