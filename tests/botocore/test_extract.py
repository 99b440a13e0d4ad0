"""Native results in the engine's words, as a table."""

import errno
import socket
import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
import urllib3
from botocore import exceptions as native
from botocore.loaders import Loader
from botocore.model import ServiceModel

import resilience
from resilience.botocore.extract import from_exception, from_response
from resilience.botocore.rejected import BotocoreRejected


def model(service, operation):
    raw = Loader().load_service_model(service, "service-2")
    return ServiceModel(raw, service).operation_model(operation)


def answer(status, code="", headers=None, **members):
    error = {"Code": code, "Message": "m"} if code else {}
    metadata = {"HTTPStatusCode": status, "HTTPHeaders": headers or {}}
    return {"Error": error, "ResponseMetadata": metadata, **members}


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
]


@pytest.mark.parametrize("code", THROTTLING)
def test_throttling_codes(code):
    """AWS's fourteen throttling codes are overload, and were not executed."""
    found = from_response(answer(400, code))

    assert ("overload", "no", True) == (found.kind, found.reached, found.throttled)


@pytest.mark.parametrize(
    ("status", "code", "kind", "reached"),
    [
        (500, "", "transport", "maybe"),
        (502, "", "transport", "maybe"),
        (503, "", "transport", "maybe"),
        (504, "", "transport", "maybe"),
        (500, "InternalError", "transport", "maybe"),
        (200, "InternalError", "transport", "maybe"),
        (503, "SlowDown", "overload", "no"),
        (429, "", "overload", "no"),
        (429, "Whatever", "overload", "no"),
        (400, "RequestTimeout", "transport", "maybe"),
        (400, "RequestTimeoutException", "transport", "maybe"),
        (400, "ValidationException", "application", "yes"),
        (403, "AccessDenied", "application", "yes"),
        (404, "NoSuchKey", "application", "yes"),
        (409, "OperationAborted", "application", "no"),
        (412, "PreconditionFailed", "application", "yes"),
        (501, "NotImplemented", "application", "yes"),
        (304, "", "application", "yes"),
    ],
)
def test_answers(status, code, kind, reached):
    """Status and code decide the kind, and whether the server may have acted."""
    found = from_response(answer(status, code))

    assert (kind, reached) == (found.kind, found.reached)
    assert (code or str(status)) == found.code


def test_modelled_errors():
    """`retryable` in a service's model counts; a modelled error is not a bare 429."""
    operation = model("codecommit", "ListRepositories")
    throttled = from_response(answer(429, "ThrottlingException"), operation)
    plain = from_response(answer(429, "InvalidOrderException"), operation)
    unknown = from_response(answer(429, "Strange"), operation)

    assert ["overload", "application", "overload"] == [
        one.kind for one in (throttled, plain, unknown)
    ]


def test_modelled_client_error():
    """A client's error that its model marks as retryable is repeated, no failure."""
    operation = model("accessanalyzer", "CheckAccessNotGranted")
    found = from_response(answer(422, "UnprocessableEntityException"), operation)

    assert ("application", "maybe", True) == (
        found.kind,
        found.reached,
        found.retryable,
    )


def test_idp_communication_error():
    """STS says that it could not reach the identity provider: nothing was done."""
    sts = model("sts", "AssumeRoleWithWebIdentity")
    here = from_response(answer(400, "IDPCommunicationError"), sts)
    elsewhere = from_response(answer(400, "IDPCommunicationError"))

    assert ("application", "no", True) == (here.kind, here.reached, here.retryable)
    assert ("application", False) == (elsewhere.kind, elsewhere.retryable)


LATER, PAST = "in an hour", "an hour ago"
HOURS = {LATER: 1, PAST: -1}
"""What stands for a date that is made when a test runs."""


@pytest.mark.parametrize(
    ("headers", "members", "wait", "form"),
    [
        ({"x-amz-retry-after": "1500"}, {}, 1.5, "clamped"),
        ({"x-amz-retry-after": "0"}, {}, 0.0, "clamped"),
        ({"x-amz-retry-after": "invalid"}, {}, None, "exact"),
        ({"x-amz-retry-after": "-100"}, {}, None, "exact"),
        ({"x-amz-retry-after": "9" * 400}, {}, None, "exact"),
        ({"retry-after": "3"}, {}, 3.0, "hint"),
        ({"retry-after": LATER}, {}, 3600.0, "hint"),
        ({"retry-after": PAST}, {}, 0.0, "hint"),
        ({"retry-after": "soon"}, {}, None, "exact"),
        ({"x-amz-retry-after": "1500", "retry-after": "9"}, {}, 1.5, "clamped"),
        ({}, {"retryAfterSeconds": 4}, 4.0, "hint"),
        ({}, {"RetryAfterSeconds": "5"}, 5.0, "hint"),
        ({}, {"retryAfterSeconds": -4}, None, "exact"),
        ({}, {}, None, "exact"),
    ],
)
def test_waits_that_are_asked_for(headers, members, wait, form):
    """Each of AWS's three ways to ask for a wait is understood; nonsense is not."""
    text = headers.get("retry-after")
    if text in HOURS:
        date = datetime.now(UTC) + timedelta(hours=HOURS[text])
        headers = {"retry-after": format_datetime(date, usegmt=True)}
    found = from_response(answer(503, "", headers, **members))

    assert form == found.pushback_form
    assert wait == (
        None if found.pushback_s is None else pytest.approx(found.pushback_s, abs=30)
    )


def _connection(cause):
    return native.EndpointConnectionError(endpoint_url="https://x", error=cause)


def _new_connection_error(number):
    made = urllib3.exceptions.NewConnectionError(None, "failed")
    made.__cause__ = OSError(number, "no")
    return made


CERTIFICATE = ssl.SSLCertVerificationError("CERTIFICATE_VERIFY_FAILED")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            _connection(_new_connection_error(errno.ECONNREFUSED)),
            ("transport", "no", False, False),
        ),
        (
            _connection(_new_connection_error(errno.ENETUNREACH)),
            ("transport", "no", True, False),
        ),
        (_connection(socket.gaierror(-2, "?")), ("transport", "no", True, False)),
        (
            native.ConnectTimeoutError(endpoint_url="u"),
            ("transport", "no", False, True),
        ),
        (
            native.ReadTimeoutError(endpoint_url="u"),
            ("transport", "maybe", False, True),
        ),
        (
            native.ConnectionClosedError(endpoint_url="u"),
            ("transport", "maybe", False, False),
        ),
        (
            native.ProxyConnectionError(proxy_url="u"),
            ("transport", "no", True, False),
        ),
        (
            native.SSLError(endpoint_url="u", error=CERTIFICATE),
            ("permanent", "no", True, False),
        ),
        (
            native.SSLError(endpoint_url="u", error="handshake"),
            ("transport", "maybe", False, False),
        ),
        (native.HTTPClientError(error="x"), ("transport", "maybe", False, False)),
        (native.ParamValidationError(report="x"), ("local", "no", False, False)),
        (native.NoCredentialsError(), ("local", "no", False, False)),
        (ValueError("a handler's"), ("local", "no", False, False)),
        (
            BotocoreRejected("m", reason="deadline", scope="s"),
            ("local", "no", False, False),
        ),
    ],
    ids=[str(row) for row in range(14)],
)
def test_exceptions(error, expected):
    """Each family of botocore's exceptions says what may have happened."""
    found = from_exception(error, sent=False)

    assert expected == (found.kind, found.reached, found.ours, found.timed_out)
    assert type(error).__name__ == found.code


def test_a_fault_after_sending_is_ambiguous():
    """A Python fault on this side does not say that the server did nothing."""
    assert "maybe" == from_exception(ValueError("x"), sent=True).reached


def test_certificate_errors_name_the_remedy():
    """What to check is in the message."""
    error = native.SSLError(endpoint_url="u", error=CERTIFICATE)

    assert "AWS_CA_BUNDLE" in from_exception(error, sent=True).message


def test_ids_and_message():
    """Request ids are kept; a message is cut and cannot move a terminal's cursor."""
    parsed = answer(400, "Bad", {"x-amz-id-2": "host"})
    parsed["ResponseMetadata"]["RequestId"] = "R"
    parsed["Error"]["Message"] = "\x1b[2J" + "x" * 5000
    found = from_response(parsed)

    assert (("request_id", "R"), ("host_id", "host")) == found.ids
    assert found.message.isprintable()
    assert len(found.message) <= 300


@pytest.mark.parametrize(("hours", "word"), [(1, "behind"), (-1, "ahead of")])
def test_clock_skew_is_named(hours, word):
    """A refused signature with another hour in `Date` says that the clock is wrong."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=hours), usegmt=True)
    found = from_response(answer(403, "RequestTimeTooSkewed", {"date": date}))

    assert f"s {word} the server's" in found.message


def test_equal_clocks_are_not_named():
    """A wrong key is not blamed on the clock."""
    date = format_datetime(datetime.now(UTC), usegmt=True)
    found = from_response(answer(403, "SignatureDoesNotMatch", {"date": date}))

    assert "clock" not in found.message


def test_an_answer_without_anything():
    """An empty parsed answer is no crash."""
    assert ("Unknown", "application") == from_response({})[:2]
    assert "application" == from_response({"Error": "odd"}).kind


def test_remedies_are_on_the_error(wire, connect, make_engine):
    """A wrong clock is named beside the error that it causes."""
    date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    client = connect("sqs", make_engine())
    body = b'{"__type": "RequestExpired", "message": "m"}'
    wire.plans = [(400, {"date": date}, body)]

    with pytest.raises(native.ClientError) as caught:
        client.list_queues()

    assert "clock is 3" in resilience.report(caught.value).hint
    assert "clock is 3" in caught.value.__notes__[0]
