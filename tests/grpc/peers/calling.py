"""One call on a bare channel, by any entry point, and what its end means to us."""

import asyncio
from functools import partial
from time import monotonic
from typing import Any, NamedTuple

import grpc
import grpc.aio

from resilience.core.outcome import OK, Outcome
from resilience.grpc.connectivity import aio_witness, sync_witness
from resilience.grpc.extract import Attempt, outcome_of


METHOD = "/shop.Cart/Put"
TIMEOUT_S = 10.0
WAYS = ("call", "future", "unary_stream", "stream_unary", "stream_stream")
"""Entry points of a blocking channel; with `aio.` in front: those of asyncio."""
AIO_WAYS = ("aio.call", "aio.unary_stream", "aio.stream_unary", "aio.stream_stream")


class End(NamedTuple):
    """How a call ended, natively and in our words."""

    error: Any
    """The native error; None: it succeeded."""
    outcome: Outcome
    """What it means when details are trusted."""
    doubted: Outcome
    """What it means when they are not: the channel's own state has to agree."""
    state: str
    """That state."""
    answer: Any = None

    @property
    def meaning(self) -> tuple[str, str, str, str]:
        """Code, kind, reached and flags of the trusted outcome."""
        return meaning(self.outcome)


def meaning(outcome: Outcome) -> tuple[str, str, str, str]:
    """Code, kind, reached and the flags that are set, of *outcome*."""
    names = ("unprocessed", "ours", "throttled")
    flags = " ".join(name for name in names if getattr(outcome, name))
    return outcome.code, outcome.kind, outcome.reached, flags


def end(
    address: str,
    how: str = "call",
    *,
    tls: grpc.ChannelCredentials | None = None,
    options: tuple[tuple[str, Any], ...] = (),
    request: bytes = b"a",
    method: str = METHOD,
    **given: Any,
) -> End:
    """Call *method* once without us, and classify what comes of it."""
    given.setdefault("timeout", TIMEOUT_S)
    began = monotonic()
    options = (("grpc.enable_retries", 0), *options)
    if how.startswith("aio."):
        arity = how.removeprefix("aio.")
        making = _channel(grpc.aio, address, tls, options)
        return asyncio.run(_awaited(making, arity, request, method, given))
    with _channel(grpc, address, tls, options)() as channel:
        try:
            answer = _blocking(channel, how, request, method, given)
        except Exception as error:  # noqa: BLE001 - classified
            return _end(error, sync_witness(channel), given["timeout"], began)
        return End(None, OK, OK, sync_witness(channel)(), answer)


def _channel(kind, address, tls, options):
    """Makes the channel: asyncio's wants to be made on its loop."""
    if tls is None:
        return partial(kind.insecure_channel, address, options)
    return partial(kind.secure_channel, address, tls, options)


def _blocking(channel, how, request, method, given):
    requests = iter([request])
    match how:
        case "call":
            return channel.unary_unary(method)(request, **given)
        case "future":
            return channel.unary_unary(method).future(request, **given).result()
        case "unary_stream":
            return list(channel.unary_stream(method)(request, **given))
        case "stream_unary":
            return channel.stream_unary(method)(requests, **given)
    return list(channel.stream_stream(method)(requests, **given))


async def _awaited(making, how, request, method, given):
    began = monotonic()
    async with making() as channel:
        try:
            answer = await _waiting(channel, how, request, method, given)
        except Exception as error:  # noqa: BLE001 - classified
            return _end(error, aio_witness(channel), given["timeout"], began)
        return End(None, OK, OK, aio_witness(channel)(), answer)


async def _waiting(channel, how, request, method, given):
    match how:
        case "call":
            return await channel.unary_unary(method)(request, **given)
        case "unary_stream":
            return [x async for x in channel.unary_stream(method)(request, **given)]
        case "stream_unary":
            return await channel.stream_unary(method)(iter([request]), **given)
    answers = channel.stream_stream(method)(iter([request]), **given)
    return [x async for x in answers]


def _end(error, witness, timeout_s, began) -> End:
    elapsed_s, state = monotonic() - began, witness()
    trusted = outcome_of(error, Attempt(timeout_s, elapsed_s, lambda: state, True))
    doubted = outcome_of(error, Attempt(timeout_s, elapsed_s, lambda: state, False))
    return End(error, trusted, doubted, state)
