"""What an attempt of an aiobotocore client came to, where that differs from botocore's.

Its sessions call errors by other names than urllib3's: a connection that was reset
while a request was under way is an `EndpointConnectionError`, and one that took no more
of an upload a `ConnectTimeoutError` with httpx. Both may have been executed; that they
are told from what was never sent is decided here and nowhere else.
"""

from collections.abc import Mapping
from socket import gaierror
from typing import Any, NamedTuple

from botocore.exceptions import EndpointConnectionError

from resilience.botocore.response import CHECKSUM
from resilience.core.outcome import Outcome

from . import native


class Read(NamedTuple):
    """An answer whose content is there; what decides looks at it without waiting."""

    status_code: int
    headers: Mapping[str, str]
    content: bytes


async def readable(event: Mapping[str, Any]) -> Mapping[str, Any]:
    """The *event* of `needs-retry`, with an answer that needs no waiting.

    Only DynamoDB's answers are ever looked into, for the checksum that they carry.
    """
    response = event["response"]
    if response is None or CHECKSUM not in response[0].headers:
        return event
    http, parsed = response
    if event["operation"].service_model.service_name != "dynamodb":
        return event
    made = Read(http.status_code, http.headers, await http.content)
    return {**event, "response": (made, parsed)}


def corrected(outcome: Outcome, error: BaseException | None) -> Outcome:
    """*outcome* of an attempt that ended in *error*, with what may have been sent."""
    if outcome.kind != "transport" or outcome.reached != "no":
        return outcome
    inner = getattr(error, "kwargs", {}).get("error")
    if isinstance(error, EndpointConnectionError):
        is_unsent = inner is None or isinstance(inner, (*native.UNSENT, gaierror))
    else:
        is_unsent = not isinstance(inner, native.errors("WriteTimeout"))
    return outcome if is_unsent else outcome._replace(reached="maybe", ours=False)
