"""How long a request itself asks to take: long polls, streams, big bodies.

A built-in timeout never shortens these. What an operation asks is a fact about AWS and
lives here; what follows from it is decided in the engine.
"""

import io
from collections.abc import Mapping
from typing import Any, NamedTuple


class Asked(NamedTuple):
    """What a request asks for."""

    long: bool = False
    """It is meant to last: never slow, never shortened."""
    least_s: float | None = None
    """Seconds it needs, margin included; None: no bound is known."""


NOT_LONG = Asked()
UNBOUNDED = Asked(long=True)
MARGIN_S = 5.0
"""On top of what a long poll asks, for the way there and back."""
BIG_BODY = 1 << 20
"""From here on a body's size says how long sending it may take."""
SLOWEST_BYTES_PER_S = 64 * 1024
"""A link below half a megabit per second is not allowed for."""

LONG_POLLS = frozenset(
    {
        ("kinesis", "ReceiveDeadLetterQueueRecords"),
        ("kinesis", "ReceiveQueueRecords"),
        ("sqs", "ReceiveMessage"),
        ("stepfunctions", "GetActivityTask"),
        ("swf", "PollForActivityTask"),
        ("swf", "PollForDecisionTask"),
    }
)
"""Polled in a loop: when the retry budget is empty they wait before they fail, or the
loop would spin (AWS retry specification 2.1)."""

HELD: Mapping[tuple[str, str], float | None] = {
    ("kinesis", "ReceiveDeadLetterQueueRecords"): None,
    ("kinesis", "ReceiveQueueRecords"): None,
    ("stepfunctions", "GetActivityTask"): 60.0,
    ("swf", "PollForActivityTask"): 60.0,
    ("swf", "PollForDecisionTask"): 60.0,
    ("stepfunctions", "StartSyncExecution"): 300.0,
    ("stepfunctions", "TestState"): 300.0,
    ("s3", "CompleteMultipartUpload"): None,
    ("s3", "CopyObject"): None,
    ("s3", "UploadPartCopy"): None,
    ("rds-data", "ExecuteStatement"): None,
    ("rds-data", "BatchExecuteStatement"): None,
    ("timestream-query", "Query"): None,
    ("bedrock-runtime", "Converse"): None,
    ("bedrock-runtime", "InvokeModel"): None,
    ("bedrock-agent-runtime", "RetrieveAndGenerate"): None,
    ("sagemaker-runtime", "InvokeEndpoint"): None,
}
"""Operations that the service may hold, and for how many seconds; None: nobody says."""
SQS_LONGEST_S = 20.0
"""A queue's own default wait, when a request names none (SQS's maximum)."""
WAITS = ("WaitTimeSeconds", "waitTimeSeconds")


def asked(service: str, operation: str, model: Any, params: Mapping[str, Any]) -> Asked:
    """What one request asks for.

    Args:
        service: botocore's service name.
        operation: the operation's name.
        model: its `OperationModel`.
        params: of the call.
    """
    key = (service, operation)
    wait = next((params[name] for name in WAITS if name in params), None)
    if wait is None and key == ("sqs", "ReceiveMessage"):
        wait = SQS_LONGEST_S
    if wait is not None:
        return _poll(wait)
    if key in HELD:
        held = HELD[key]
        return UNBOUNDED if held is None else _poll(held)
    if key == ("lambda", "Invoke"):
        waits = params.get("InvocationType", "RequestResponse") == "RequestResponse"
        return UNBOUNDED if waits else NOT_LONG
    if _streams(model):
        return UNBOUNDED
    if model.has_streaming_input:
        return by_size(params.get(model.input_shape.serialization["payload"]))
    return NOT_LONG


def sized_by(service: str, operation: str, model: Any) -> str | None:
    """The member whose size alone says what a request asks for; None: there is none."""
    key, shape = (service, operation), model.input_shape
    if not model.has_streaming_input or _streams(model):
        return None
    if key in HELD or key == ("lambda", "Invoke"):
        return None
    if any(name in shape.members for name in WAITS):
        return None
    payload: str | None = shape.serialization.get("payload")
    return payload


def can_be_long(service: str, operation: str, model: Any) -> bool:
    """Can a request of this operation ask to last, and so escape wider rules?"""
    return (
        (service, operation) in HELD
        or _streams(model)
        or depends_on_params(service, operation, model)
    )


def _poll(wait_s: object) -> Asked:
    if not isinstance(wait_s, (int, float)) or wait_s <= 0:
        return NOT_LONG
    return Asked(long=True, least_s=wait_s + MARGIN_S)


def _streams(model: Any) -> bool:
    return bool(
        model.has_streaming_output
        or model.has_event_stream_output
        or model.has_event_stream_input
    )


def depends_on_params(service: str, operation: str, model: Any) -> bool:
    """Can two calls of this operation ask for different times?"""
    shape = model.input_shape
    members = () if shape is None else shape.members
    return (
        (service, operation) == ("lambda", "Invoke")
        or bool(model.has_streaming_input)
        or any(name in members for name in WAITS)
    )


def by_size(body: object) -> Asked:
    """What a request asks for that uploads *body*."""
    size = _size(body)
    if size is None:
        return UNBOUNDED
    if size < BIG_BODY:
        return NOT_LONG
    return Asked(long=True, least_s=size / SLOWEST_BYTES_PER_S + MARGIN_S)


def _size(body: object) -> int | None:
    if body is None:
        return 0
    if isinstance(body, memoryview):
        return body.nbytes
    if isinstance(body, io.BytesIO):
        return len(body.getbuffer())
    try:
        return len(body)  # type: ignore[arg-type]  # s3transfer's readers have one
    except (TypeError, OverflowError):
        return None
