"""What AWS answers, row by row, and what must follow; for the tests of the table."""

import io
import json
from dataclasses import dataclass

from resilience.core.outcome import Kind, Reached


SAFE, UNSAFE = "safe", "unsafe"


@dataclass(frozen=True)
class Row:
    """One kind of answer, which is given again and again."""

    name: str
    answer: object
    code: str
    """Of the error that the caller gets; or its class's name."""
    kind: Kind
    reached: Reached
    repeats: tuple = ()
    """Which calls are repeated: those whose repeat changes nothing, or the others."""
    counts: bool = False
    """Is it held against the service, so that its breaker may open?"""
    service: str = "ssm"
    calls: tuple = (SAFE, UNSAFE)


CALLS = {
    ("ssm", SAFE): lambda c: c.get_parameter(Name="n"),
    ("ssm", UNSAFE): lambda c: c.send_command(DocumentName="d"),
    ("dynamodb", SAFE): lambda c: c.describe_table(TableName="t"),
    ("dynamodb", UNSAFE): lambda c: c.update_item(TableName="t", Key={"k": {"S": "1"}}),
    ("dynamodb", "transaction"): lambda c: c.transact_write_items(
        TransactItems=[{"Delete": {"TableName": "t", "Key": {"k": {"S": "1"}}}}]
    ),
    ("ec2", SAFE): lambda c: c.describe_instances(),
    ("ec2", UNSAFE): lambda c: c.create_vpc(CidrBlock="10.0.0.0/16"),
    ("sts", SAFE): lambda c: c.assume_role_with_web_identity(
        RoleArn="arn:aws:iam::123456789012:role/r",
        RoleSessionName="name",
        WebIdentityToken="token",
    ),
    ("s3", "get"): lambda c: c.get_object(Bucket="b", Key="k"),
    ("s3", "put"): lambda c: c.put_object(Bucket="b", Key="k", Body=io.BytesIO(b"d")),
    ("s3", "copy"): lambda c: c.copy_object(Bucket="b", Key="k", CopySource="b/j"),
    ("s3", "part"): lambda c: c.upload_part_copy(
        Bucket="b", Key="k", CopySource="b/j", UploadId="u", PartNumber=1
    ),
    ("s3", "complete"): lambda c: c.complete_multipart_upload(
        Bucket="b",
        Key="k",
        UploadId="u",
        MultipartUpload={"Parts": [{"ETag": "e", "PartNumber": 1}]},
    ),
    ("s3", "begin"): lambda c: c.create_multipart_upload(Bucket="b", Key="k"),
    ("s3", "delete"): lambda c: c.delete_objects(
        Bucket="b", Delete={"Objects": [{"Key": "k"}]}
    ),
}
"""One call for each role in a service; those that are `unsafe` may do it twice."""


def js(status, code, headers=None, **members):
    """An error as services with JSON spell it."""
    body = json.dumps({"__type": code, "message": "m", **members}).encode()
    return status, headers or {}, body


def xml(status, code, headers=None, inside=""):
    """An error of S3."""
    body = f"<Error><Code>{code}</Code><Message>m</Message>{inside}</Error>".encode()
    return status, {"content-type": "application/xml", **(headers or {})}, body


def query(status, code):
    """An error of STS."""
    inner = f"<Error><Code>{code}</Code><Message>m</Message></Error>"
    return status, {}, f"<ErrorResponse>{inner}</ErrorResponse>".encode()


def ec2(status, code):
    """An error of EC2."""
    inner = f"<Error><Code>{code}</Code><Message>m</Message></Error>"
    return status, {}, f"<Response><Errors>{inner}</Errors></Response>".encode()


def cancelled(*reasons):
    """A transaction that was cancelled for *reasons*."""
    found = [{"Code": reason} for reason in reasons]
    return js(400, "TransactionCanceledException", CancellationReasons=found)


def fault(name, answer, code, **more):
    """The service is out: nobody knows what it did."""
    return Row(name, answer, code, "transport", "maybe", (SAFE,), counts=True, **more)


def throttled(name, answer, code, **more):
    """This caller asks too much; nothing was done."""
    return Row(name, answer, code, "overload", "no", (SAFE, UNSAFE), **more)


def conflict(name, answer, code, **more):
    """Refused for now; nothing was done."""
    return Row(name, answer, code, "application", "no", (SAFE, UNSAFE), **more)


def refused(name, answer, code, reached: Reached = "yes", **more):
    """An answer, and final."""
    return Row(name, answer, code, "application", reached, **more)


THROTTLING = [
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
    "KMSThrottlingException",
]
REFUSALS = {
    "AccessDeniedException": 403,
    "UnrecognizedClientException": 400,
    "ValidationException": 400,
    "ParameterNotFound": 404,
    "ConflictException": 409,
    "PreconditionFailed": 412,
    "NotImplemented": 501,
    "ServiceQuotaExceededException": 402,
    "Strange": 400,
}
UNPROVEN = [
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "RequestExpired",
    "RequestInTheFuture",
    "RequestTimeTooSkewed",
    "SignatureDoesNotMatch",
    "TokenRefreshRequired",
]
S3 = {"service": "s3"}
LATE = {"service": "s3", "calls": ("copy", "part", "complete", "delete")}
"""Operations of S3 that may answer HTTP 200 with an error."""
DYNAMODB = {"service": "dynamodb"}
TRANSACTION = {"service": "dynamodb", "calls": ("transaction",)}
CANCELLED = "TransactionCanceledException"

GENERAL = [
    *(fault(f"bare {n}", n, str(n)) for n in (500, 502, 503, 504)),
    fault("500 with a code", js(500, "InternalServerError"), "InternalServerError"),
    fault("RequestTimeout", js(400, "RequestTimeout"), "RequestTimeout"),
    fault("408", js(408, "RequestTimeoutException"), "RequestTimeoutException"),
    fault("no answer", "drop", "ConnectionClosedError"),
    *(throttled(code, js(400, code), code) for code in THROTTLING),
    throttled("bare 429", 429, "429"),
    throttled("429 with a strange code", js(429, "Strange"), "Strange"),
    throttled("509", 509, "509"),
    throttled("dropped by Envoy", (503, {"x-envoy-overloaded": "true"}, b""), "503"),
    *(refused(code, js(status, code), code) for code, status in REFUSALS.items()),
    *(refused(code, js(403, code), code, reached="no") for code in UNPROVEN),
]
OF_S3 = [
    throttled(
        "S3 SlowDown",
        xml(503, "SlowDown"),
        "SlowDown",
        service="s3",
        calls=("get", "put", "begin"),
    ),
    fault("S3 out", xml(503, "ServiceUnavailable"), "ServiceUnavailable", **LATE),
    fault(
        "S3 timed out",
        xml(400, "RequestTimeout"),
        "RequestTimeout",
        service="s3",
        calls=("put",),
    ),
    conflict(
        "S3 conflict",
        xml(409, "ConditionalRequestConflict"),
        "ConditionalRequestConflict",
        service="s3",
        calls=("put", "complete", "copy"),
    ),
    conflict("S3 aborted", xml(409, "OperationAborted"), "OperationAborted", **LATE),
    conflict(
        "S3 damaged", xml(400, "BadDigest"), "BadDigest", service="s3", calls=("put",)
    ),
    fault("200 InternalError", xml(200, "InternalError"), "InternalError", **LATE),
    fault("200 unknown", xml(200, "Strange"), "Strange", **LATE),
    throttled("200 SlowDown", xml(200, "SlowDown"), "SlowDown", **LATE),
    refused(
        "200 precondition", xml(200, "PreconditionFailed"), "PreconditionFailed", **LATE
    ),
    refused("200 denied", xml(200, "AccessDenied"), "AccessDenied", **LATE),
    refused("200 no upload", xml(200, "NoSuchUpload"), "NoSuchUpload", **LATE),
    refused("no key", xml(404, "NoSuchKey"), "NoSuchKey", service="s3", calls=("get",)),
    refused(
        "S3 precondition",
        xml(412, "PreconditionFailed"),
        "PreconditionFailed",
        service="s3",
        calls=("put", "complete"),
    ),
]
OF_OTHERS = [
    conflict(
        "item in a transaction",
        js(400, "TransactionConflictException"),
        "TransactionConflictException",
        **DYNAMODB,
    ),
    conflict(
        "written elsewhere",
        js(409, "ReplicatedWriteConflictException"),
        "ReplicatedWriteConflictException",
        **DYNAMODB,
    ),
    conflict(
        "cancelled by another",
        cancelled("None", "TransactionConflict"),
        CANCELLED,
        **TRANSACTION,
    ),
    throttled(
        "cancelled by throttling",
        cancelled("ThrottlingError", "TransactionConflict"),
        CANCELLED,
        **TRANSACTION,
    ),
    *(
        refused(f"cancelled by {why}", cancelled(*why), CANCELLED, **TRANSACTION)
        for why in (
            ("ConditionalCheckFailed",),
            ("TransactionConflict", "ConditionalCheckFailed"),
            ("ValidationError", "None"),
            ("Strange",),
            (),
        )
    ),
    refused(
        "condition",
        js(400, "ConditionalCheckFailedException"),
        "ConditionalCheckFailedException",
        **DYNAMODB,
    ),
    conflict(
        "identity provider away",
        query(400, "IDPCommunicationError"),
        "IDPCommunicationError",
        service="sts",
        calls=(SAFE,),
    ),
    throttled(
        "EC2 limit",
        ec2(503, "RequestLimitExceeded"),
        "RequestLimitExceeded",
        service="ec2",
    ),
    throttled(
        "EC2 throttled",
        ec2(503, "EC2ThrottledException"),
        "EC2ThrottledException",
        service="ec2",
    ),
    fault("EC2 out", ec2(503, "Unavailable"), "Unavailable", service="ec2"),
    conflict(
        "EC2 has no such machine",
        ec2(500, "InsufficientInstanceCapacity"),
        "InsufficientInstanceCapacity",
        service="ec2",
    ),
]
ROWS = [*GENERAL, *OF_S3, *OF_OTHERS]
