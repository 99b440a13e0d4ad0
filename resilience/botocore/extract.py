"""Native results in the engine's words: a response or an exception -> an outcome.

Only this file reads AWS responses and botocore's exceptions; it decides nothing about
repeating. No payload leaves it: codes, statuses, ids and the server's message, cut and
escaped.
"""

import errno
import socket
import ssl
from collections.abc import Mapping
from traceback import walk_tb
from typing import Any, NamedTuple

from botocore import exceptions as native
from botocore.parsers import ResponseParserError
from urllib3 import exceptions as urllib3_errors

from resilience.core.outcome import OK, Kind, Outcome, Reached
from resilience.errors import Rejected

from . import codes, skew
from .codes import Row
from .remedies import CERTIFICATE
from .wait_hints import wait_hint


MAX_MESSAGE = 300
MAX_CODE = 80
_RESOLUTION = (
    socket.gaierror,
    # urllib3 2; version 1 lets the former through.
    getattr(urllib3_errors, "NameResolutionError", socket.gaierror),
)
_LOCAL_ERRNOS = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN})


def from_response(
    parsed: Mapping[str, Any], model: Any = None, *, status: int | None = None
) -> Outcome:
    """The outcome of an answer that is an error.

    Args:
        parsed: botocore's parsed response.
        model: its `OperationModel`; errors that it models as retryable are known.
        status: the HTTP status where `ResponseMetadata` has none.
    """
    metadata = parsed.get("ResponseMetadata") or {}
    headers = metadata.get("HTTPHeaders") or {}
    status = int(metadata.get("HTTPStatusCode") or status or 0)
    error = parsed.get("Error")
    error = error if isinstance(error, Mapping) else {}
    code = str(error.get("Code") or status or "Unknown")
    text = _clean(str(error.get("Message") or ""), MAX_MESSAGE)
    if code in codes.CLOCK_SKEW:
        said = skew.note(code, error, headers)
        text = f"{said}; {text}" if said else text
    row = _row_of(code, status, parsed, headers, model)
    shown = Outcome(
        _clean(code, MAX_CODE),
        row.kind,
        row.reached,
        throttled=row.throttled,
        retryable=row.retryable,
        message=text,
        ids=ids_of(metadata),
    )
    if not row.retryable and row.kind == "application":
        return shown
    wait, form = wait_hint(parsed, headers)
    return shown._replace(pushback_s=wait, pushback_form=form)


def _row_of(
    code: str,
    status: int,
    parsed: Mapping[str, Any],
    headers: Mapping[str, str],
    model: Any,
) -> Row:
    """The row of the table that an error answer falls under."""
    service = "" if model is None else str(model.service_model.service_name)
    found = codes.BY_SERVICE.get((service, code)) or codes.BY_CODE.get(code)
    if found is not None:
        return found
    if code == codes.CANCELLED:
        return _of_reasons(parsed.get("CancellationReasons"))
    is_modelled, trait = _modelled(code, model)
    if trait is not None:
        return codes.by_trait(status, throttling=trait)
    if status == 503 and headers.get("x-envoy-overloaded"):
        return codes.OVERLOADED
    return codes.by_status(status, is_modelled=is_modelled)


def _of_reasons(reasons: Any) -> Row:
    """A transaction was cancelled: what its *reasons* say, all of them together."""
    if not isinstance(reasons, list):
        return codes.REFUSED
    found = {one.get("Code") for one in reasons if isinstance(one, Mapping)}
    rows = [codes.PASSING_REASONS.get(str(code)) for code in found - {"None", None}]
    if not rows or None in rows:
        return codes.REFUSED
    # Throttling waits longer, which is right for conflicts too.
    return codes.THROTTLED if codes.THROTTLED in rows else codes.CONFLICT


def recovered(answer: object) -> Outcome:
    """The outcome of an attempt that ended well after others had failed."""
    metadata = answer.get("ResponseMetadata") if isinstance(answer, Mapping) else None
    return OK._replace(ids=ids_of(metadata or {}))


def damaged(ids: tuple[tuple[str, str], ...] = ()) -> Outcome:
    """The outcome of an answer whose checksum does not fit."""
    text = "the body does not match x-amz-crc32"
    return Outcome("ChecksumError", "transport", "maybe", message=text, ids=ids)


class _Family(NamedTuple):
    """What one family of exceptions says."""

    types: tuple[type[BaseException], ...]
    kind: Kind
    reached: Reached
    timed_out: bool = False


_FAMILIES = (
    _Family((Rejected,), "local", "no"),
    _Family((native.ConnectTimeoutError,), "transport", "no", timed_out=True),
    _Family(
        (native.ReadTimeoutError, urllib3_errors.ReadTimeoutError),
        "transport",
        "maybe",
        timed_out=True,
    ),
    _Family(
        (native.EndpointConnectionError, native.ProxyConnectionError),
        "transport",
        "no",
    ),
    _Family(
        (
            native.HTTPClientError,
            native.ConnectionError,
            native.ChecksumError,
            native.FlexibleChecksumError,
            urllib3_errors.HTTPError,
            ResponseParserError,
        ),
        "transport",
        "maybe",
    ),
)
"""The first family that fits holds: special ones come before what they derive from."""


def from_exception(error: BaseException, *, sent: bool, model: Any = None) -> Outcome:
    """The outcome of an attempt that ended in an exception.

    Args:
        error: what botocore caught, or what came out of the call.
        sent: did the attempt get as far as being sent?
        model: the operation's model.
    """
    if isinstance(error, native.ClientError):
        return from_response(error.response, model)
    name, text = type(error).__name__, _clean(str(error), MAX_MESSAGE)
    if isinstance(error, native.SSLError):
        return _from_ssl_error(error, name, text)
    for family in _FAMILIES:
        if isinstance(error, family.types):
            reached = family.reached
            return Outcome(
                name,
                family.kind,
                "no" if reached == "maybe" and _in_handshake(error) else reached,
                ours=reached == "no" and _is_ours(error),
                timed_out=family.timed_out,
                message=text,
            )
    # Parameters, credentials, signing, handlers: a fault on this side.
    return Outcome(name, "local", "maybe" if sent else "no", message=text)


def _from_ssl_error(error: native.SSLError, name: str, text: str) -> Outcome:
    for cause in _causes(error):
        is_certificate = isinstance(cause, ssl.SSLCertVerificationError)
        if is_certificate or "CERTIFICATE_VERIFY_FAILED" in str(cause):
            message = f"{CERTIFICATE}: {text}"
            return Outcome(name, "permanent", "no", ours=True, message=message)
    reached: Reached = "no" if _in_handshake(error) else "maybe"
    return Outcome(name, "transport", reached, message=text)


def _in_handshake(error: BaseException) -> bool:
    """Did it happen while TLS was set up, before any of the request was sent?

    No attribute says so; the frames that the error went through do.
    """
    for cause in _causes(error):
        for frame, _ in walk_tb(cause.__traceback__):
            if frame.f_code.co_name == "do_handshake":
                return True
    return False


def _is_ours(error: BaseException) -> bool:
    """Is it name resolution, routing or a proxy on this side that failed?"""
    if isinstance(error, native.ProxyConnectionError):
        return True
    for cause in _causes(error):
        if isinstance(cause, _RESOLUTION):
            return True
        if isinstance(cause, OSError) and cause.errno in _LOCAL_ERRNOS:
            return True
    return False


def _causes(error: BaseException) -> list[BaseException]:
    """The error, what it was made from, and what that came from."""
    found: list[BaseException] = []
    todo: list[object] = [error]
    while todo and len(found) < 10:
        one = todo.pop()
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            todo += [one.__cause__, one.__context__]
            todo.append(getattr(one, "kwargs", {}).get("error"))
            todo.append(getattr(one, "reason", None))
            todo += [arg for arg in one.args if isinstance(arg, BaseException)]
    return found


def _modelled(code: str, model: Any) -> tuple[bool, bool | None]:
    """Is the code modelled, and what is its `retryable` trait: throttling, or None?"""
    for shape in (model.error_shapes or ()) if model is not None else ():
        known = (shape.metadata.get("error") or {}).get("code") or shape.name
        if known == code:
            trait = shape.metadata.get("retryable")
            return True, None if trait is None else bool(trait.get("throttling"))
    return False, None


def ids_of(metadata: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The identifiers in an answer's `ResponseMetadata`, for AWS's support."""
    headers = metadata.get("HTTPHeaders") or {}
    request_id = (
        metadata.get("RequestId")
        or headers.get("x-amzn-requestid")
        or headers.get("x-amz-request-id")
    )
    host_id = metadata.get("HostId") or headers.get("x-amz-id-2")
    found = (("request_id", request_id), ("host_id", host_id))
    return tuple((name, _clean(str(value), 120)) for name, value in found if value)


def _clean(text: str, length: int) -> str:
    """*text* cut to *length*, without anything a log or a terminal could act upon."""
    text = text[: length + 1]
    if not text.isprintable():
        text = "".join(map(_visible, text))
    return text if len(text) <= length else text[: length - 1] + "…"


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return character.encode("unicode_escape").decode("ascii")
