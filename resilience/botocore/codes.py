"""AWS's error codes as one table: what each says, and may it have been acted on?

Data only; `extract.py` looks up here, in this order: code of one service, code, trait
of the service's model, status. The lists of transient and throttling codes are those
of AWS's retry specification 2.1 and of botocore's older modes; the others are ours.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from resilience.core.outcome import Kind, Reached


class Row(NamedTuple):
    """What an answer says. Immutable."""

    kind: Kind
    reached: Reached
    retryable: bool = False
    """The service says so itself, though it is an answer and no fault."""
    throttled: bool = False
    """It is this caller who is told to slow down."""


FAULT = Row("transport", "maybe")
"""The service is out: nobody knows what it did. Counts against it."""
THROTTLED = Row("overload", "no", throttled=True)
"""This caller asks too much: refused before anything was done. The service is well."""
OVERLOADED = Row("overload", "no")
"""A relay dropped it before the service saw it."""
CONFLICT = Row("application", "no", retryable=True)
"""Refused, for something else was under way with the same thing; it passes."""
PASSING = Row("application", "maybe", retryable=True)
"""Refused with a trait in the model by which another try may succeed."""
REFUSED = Row("application", "yes")
"""An answer: access, parameters, things that are not there. Final."""
UNPROVEN = Row("application", "no")
"""Who asks could not be established, so nothing was done. Final."""

TRANSIENT = frozenset(
    {
        "RequestTimeout",
        "RequestTimeoutException",
        # Sent with HTTP 200 in the body of S3's long answers, so no status shows them.
        "InternalError",
        "InternalFailure",
        "InternalServerError",
        "InternalServerException",
        "InternalServiceError",
        "InternalServiceException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
    }
)
TRANSIENT_STATUS = frozenset({500, 502, 503, 504})

THROTTLING = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
ALSO_THROTTLING = frozenset(
    {"KMS.ThrottlingException", "KMSThrottlingException", "KmsThrottled"}
)
"""A service behind the one that was asked throttles; no mode of botocore repeats it."""
THROTTLING_STATUS = frozenset({429, 509})
"""509 is that of botocore's legacy mode, for bandwidth."""

CONFLICTS = frozenset(
    {
        "ConditionalRequestConflict",  # S3: "retry the upload"
        "OperationAborted",  # S3: "try again"
        "ReplicatedWriteConflictException",  # DynamoDB; legacy repeats it
        "TransactionConflictException",  # DynamoDB: a transaction holds the item
    }
)

CLOCK_SKEW = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Codes that a wrong clock can cause; dates in the answer tell whether it did."""
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
"""The session token has had its time."""

CANCELLED = "TransactionCanceledException"
"""DynamoDB did nothing of a transaction; its reasons say why."""
PASSING_REASONS: Mapping[str, Row] = {
    "TransactionConflict": CONFLICT,
    "ProvisionedThroughputExceeded": THROTTLED,
    "ThrottlingError": THROTTLED,
}
"""Reasons of `CANCELLED` for which a repeat is right, if there is no other one."""

S3_REFUSALS = frozenset(
    {
        "AccessDenied",
        "BadRequest",
        "BucketAlreadyExists",
        "BucketAlreadyOwnedByYou",
        "EntityTooLarge",
        "EntityTooSmall",
        "InvalidArgument",
        "InvalidObjectState",
        "InvalidPart",
        "InvalidPartOrder",
        "InvalidRequest",
        "MalformedXML",
        "MethodNotAllowed",
        "NoSuchBucket",
        "NoSuchKey",
        "NoSuchUpload",
        "NoSuchVersion",
        "NotImplemented",
        "PreconditionFailed",
    }
)
"""botocore makes 500 of S3's errors that come with HTTP 200: these are none all the
same, and a repeat gets the same answer."""


def _of_service(
    service: str, codes: Iterable[str], row: Row
) -> dict[tuple[str, str], Row]:
    return {(service, code): row for code in codes}


BY_SERVICE: Mapping[tuple[str, str], Row] = {
    # STS could not reach the caller's identity provider: STS itself is well.
    ("sts", "IDPCommunicationError"): CONFLICT,
    # What came is not what was sent, so nothing was kept; legacy repeats it.
    ("s3", "BadDigest"): CONFLICT,
    **_of_service("s3", S3_REFUSALS, REFUSED),
    # HTTP 500, and yet an answer: there is no machine of that kind now.
    **_of_service(
        "ec2",
        (
            "InsufficientCapacityOnHost",
            "InsufficientHostCapacity",
            "InsufficientInstanceCapacity",
            "InsufficientReservedInstanceCapacity",
        ),
        CONFLICT,
    ),
}
"""(service, code): what holds in that service only."""

BY_CODE: Mapping[str, Row] = {
    **dict.fromkeys(TRANSIENT, FAULT),
    **dict.fromkeys(THROTTLING | ALSO_THROTTLING, THROTTLED),
    **dict.fromkeys(CONFLICTS, CONFLICT),
    **dict.fromkeys(CLOCK_SKEW | EXPIRED, UNPROVEN),
}
"""Code: what holds in every service."""


def by_trait(status: int, *, throttling: bool) -> Row:
    """What an error that its model marks as retryable says, with HTTP *status*."""
    if throttling or status in THROTTLING_STATUS:
        return THROTTLED
    if 400 <= status < 500 and status != 408:
        # The client's error, says the status: whoever serves it is well.
        return CONFLICT if status in {409, 423} else PASSING
    return FAULT


def by_status(status: int, *, is_modelled: bool) -> Row:
    """What HTTP *status* says of a code that is in no list."""
    if status in TRANSIENT_STATUS:
        return FAULT
    if status in THROTTLING_STATUS and not is_modelled:
        return THROTTLED
    return REFUSED
