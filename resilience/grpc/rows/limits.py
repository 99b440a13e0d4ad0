"""Ends by a limit: messages, metadata or calls that are more than somebody accepts.

Retrying RESOURCE_EXHAUSTED blindly repeats work: when the answer is too large for us,
the call has been executed.
"""

from .row import LIMIT, Row


ROWS = (
    Row(
        "RESOURCE_EXHAUSTED",
        "CLIENT: Received message larger",
        "permanent",
        "yes",
        cause="the answer is larger than this channel accepts; the call was executed",
        remedy=LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "Sent message larger",
        "permanent",
        "no",
        "server",
        cause="the request is larger than this channel may send",
        remedy=LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "SERVER: Received message larger",
        "permanent",
        "no",
        "server",
        cause="the request is larger than the server accepts",
        remedy=LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "Received message larger",
        "permanent",
        "maybe",
        cause="a message is larger than its receiver accepts",
        remedy=LIMIT,
    ),
    Row(
        "RESOURCE_EXHAUSTED",
        "received metadata size exceeds",
        "permanent",
        "maybe",
        cause="there is more metadata than its receiver accepts",
        remedy="send less metadata, or raise `grpc.absolute_max_metadata_size`",
    ),
    # Not "unprocessed", although it is: a repeat at once would feed the overload. No
    # state of our channel can confirm it, as with a proxy's words.
    Row(
        "RESOURCE_EXHAUSTED",
        "Concurrent RPC limit exceeded",
        "overload",
        "no",
        "proxy",
        throttled=True,
    ),
)
