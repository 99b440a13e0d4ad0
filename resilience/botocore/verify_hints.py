"""How to find out by hand whether a write was executed whose answer was lost.

Data, and one sentence for what the data does not name.
"""

from collections.abc import Mapping

from resilience.core.record import CallEnded


HINTS: Mapping[tuple[str, str], str] = {
    ("dynamodb", "BatchExecuteStatement"): "GetItem with ConsistentRead shows",
    ("dynamodb", "DeleteItem"): "GetItem with ConsistentRead shows if it is gone",
    ("dynamodb", "ExecuteStatement"): "GetItem with ConsistentRead shows",
    ("dynamodb", "PutItem"): "GetItem with ConsistentRead shows the item",
    ("dynamodb", "UpdateItem"): (
        "GetItem with ConsistentRead shows the attributes; a counter alone cannot "
        "tell, a condition on a version attribute can, and TransactWriteItems with "
        "this one Update has a token"
    ),
    ("events", "PutEvents"): "only a target of the rules can tell",
    ("kinesis", "PutRecord"): "only a consumer of the stream can tell",
    ("kinesis", "PutRecords"): "only a consumer of the stream can tell",
    ("lambda", "Invoke"): (
        "the function's own log and results tell; give each event an id of its own"
    ),
    ("s3", "CompleteMultipartUpload"): "HeadObject shows the object",
    ("s3", "CopyObject"): "HeadObject shows the object",
    ("s3", "CreateMultipartUpload"): (
        "ListMultipartUploads shows uploads of this key; abort the one that nobody uses"
    ),
    ("s3", "DeleteObject"): "HeadObject shows if it is gone",
    ("s3", "PutObject"): "HeadObject shows the object",
    ("ses", "SendEmail"): "only its events (configuration set) can tell",
    ("sns", "Publish"): "only a subscriber can tell",
    ("sns", "PublishBatch"): "only a subscriber can tell",
    ("sqs", "ReceiveMessage"): (
        "nothing was lost: its messages are visible again after their timeout"
    ),
    ("sqs", "SendMessage"): "only a consumer of the queue can tell",
    ("sqs", "SendMessageBatch"): "only a consumer of the queue can tell",
}


def with_ways(remedy: str, ended: CallEnded, known: str) -> str:
    """*remedy*, and for an ambiguous end what is *known* and where to look."""
    parts = [remedy]
    if ended.ambiguous:
        parts += [known, how_to_find_out(ended.target.service, ended.target.method)]
    return "; ".join(filter(None, parts))


def how_to_find_out(service: str, operation: str) -> str:
    """Where to look for the effect of *operation*, in one sentence."""
    known = HINTS.get((service, operation))
    if known is None:
        known = "the service's Describe, Get and List calls show what is there"
    return f"to find out: {known}"
