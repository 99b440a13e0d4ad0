"""Looking whether a write whose answer was lost is there, and answering as it would.

What to ask and how to judge it is written as generators that yield `Ask`s, so that the
blocking and the asynchronous client share it; `run` drives them. What is found is put
in the place of the answer that was lost, as an HTTP response, and goes through
botocore's own parser: callers see the shape of the real success.
"""

from collections.abc import Awaitable, Callable, Generator, Mapping
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import BotoCoreError, ClientError

from resilience.drivers.blocking import drive


class Ask(NamedTuple):
    """A read that the verification needs."""

    operation: str
    params: dict[str, Any]


class Answer(NamedTuple):
    """The success that was lost, as the service would have said it."""

    status: int
    headers: Mapping[str, str]
    body: Callable[[str], str] | None = None
    """Makes the body from the request's URL; None: it is empty."""


class Finding(NamedTuple):
    """What a look showed."""

    answer: Answer | None = None
    """The write is there and is ours: this is its success. None: it is not, or nobody
    can tell."""
    is_known: bool = True
    """Could it be told?"""
    headers: Mapping[str, str] | None = None
    """Conditions under which a repeat can do no harm; None: those that it has."""
    is_reused: bool = False
    """What is there was written with the same key and other parameters."""
    note: str = ""
    """Why it could not be told."""


Steps = Generator[Ask, Any, Finding]


def run(steps: Steps, call: Callable[[str, dict[str, Any]], Any]) -> Finding:
    """What *steps* find, with reads made by *call*. An error of a read is a finding."""

    async def asked(operation: str, params: dict[str, Any]) -> Any:
        return call(operation, params)

    return drive(arun(steps, asked))


async def arun(
    steps: Steps, call: Callable[[str, dict[str, Any]], Awaitable[Any]]
) -> Finding:
    """`run` for a client whose calls are awaited."""
    try:
        ask = next(steps)
        while True:
            try:
                answer = await call(ask.operation, ask.params)
            except (BotoCoreError, ClientError) as error:
                ask = _throw(steps, ask, error)
            else:
                ask = steps.send(answer)
    except StopIteration as end:
        found: Finding = end.value
        return found
    except _UnreadableError as error:
        return Finding(is_known=False, note=str(error))


class _UnreadableError(Exception):
    """A read failed, and the steps did not know what to make of it."""


def _throw(steps: Steps, ask: Ask, error: Exception) -> Ask:
    """Give the steps the *error* of their read; the next thing they ask."""
    try:
        return steps.throw(error)
    except (BotoCoreError, ClientError):
        code = type(error).__name__
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", code))
        msg = f"{ask.operation} ended in {code}"
        raise _UnreadableError(msg) from error


def is_missing(error: ClientError) -> bool:
    """Did a read find nothing there?"""
    metadata = error.response.get("ResponseMetadata", {})
    return bool(metadata.get("HTTPStatusCode") == 404)


def headers_of(parsed: Mapping[str, Any]) -> dict[str, str]:
    """The HTTP headers that an answer came with, names in lower case."""
    found = parsed.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    return {str(name).lower(): str(value) for name, value in found.items()}


def xml(root: str, members: Mapping[str, str]) -> str:
    """A small XML document of S3."""
    inside = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in members.items() if v)
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return f'<?xml version="1.0" encoding="UTF-8"?><{root} {space}>{inside}</{root}>'


class _Raw:
    """A body that was never on a wire."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def stream(self, *_: Any, **__: Any) -> Generator[bytes]:
        """Give everything once."""
        content, self._content = self._content, b""
        if content:
            yield content

    def read(self, *_: Any, **__: Any) -> bytes:
        """Give everything once."""
        content, self._content = self._content, b""
        return content


def parts_of(answer: Answer, url: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of *answer* to a request that was meant for *url*."""
    content = b"" if answer.body is None else answer.body(url).encode()
    headers = {**answer.headers, "content-length": str(len(content))}
    return answer.status, headers, content


def response(answer: Answer, url: str) -> AWSResponse:
    """*answer* as the HTTP response that botocore parses."""
    status, given, content = parts_of(answer, url)
    headers = HTTPHeaders()
    for name, value in given.items():
        headers[name] = value
    return AWSResponse(url, status, headers, _Raw(content))
