"""What may stand around a channel of grpcio's tests."""

from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio


class Bare:
    """Nothing."""

    def channel(self, channel: Any) -> Any:
        return channel

    def aio_channel(self, channel: Any) -> Any:
        return channel

    def aio_interceptors(self) -> list[Any]:
        return []


class _Passing(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    def intercept_unary_unary(self, continuation, client_call_details, request):
        return continuation(client_call_details, request)

    def intercept_unary_stream(self, continuation, client_call_details, request):
        return continuation(client_call_details, request)

    def intercept_stream_unary(
        self, continuation, client_call_details, request_iterator
    ):
        return continuation(client_call_details, request_iterator)

    def intercept_stream_stream(
        self, continuation, client_call_details, request_iterator
    ):
        return continuation(client_call_details, request_iterator)


def _passing_in_asyncio() -> list[Any]:
    """One interceptor for each arity, each doing nothing."""
    made = []
    for arity in ("unary_unary", "unary_stream", "stream_unary", "stream_stream"):
        words = "".join(word.title() for word in arity.split("_"))
        base = getattr(grpc.aio, f"{words}ClientInterceptor")

        async def intercept(self, continuation, client_call_details, request):
            return await continuation(client_call_details, request)

        made.append(type(words, (base,), {f"intercept_{arity}": intercept})())
    return made


class Pass(Bare):
    """Interceptors that do nothing: what grpcio's own framework loses."""

    def channel(self, channel: Any) -> Any:
        return grpc.intercept_channel(channel, _Passing())

    def aio_interceptors(self) -> list[Any]:
        return _passing_in_asyncio()


@dataclass
class Wrapper(Bare):
    """Our channel around each channel."""

    engine: Any

    def channel(self, channel: Any) -> Any:
        from resilience.grpc import intercept_channel

        return intercept_channel(channel, self.engine, target="suite")

    def aio_channel(self, channel: Any) -> Any:
        from resilience.grpc.aio import intercept_channel

        return intercept_channel(channel, self.engine, target="suite")


@dataclass
class Interceptor(Bare):
    """Our interceptors in grpcio's hooks."""

    engine: Any

    def channel(self, channel: Any) -> Any:
        from resilience.grpc import client_interceptor

        return grpc.intercept_channel(
            channel, client_interceptor(self.engine, target="suite")
        )

    def aio_interceptors(self) -> list[Any]:
        from resilience.grpc.aio import client_interceptors

        return client_interceptors(self.engine, target="suite")


def chosen(word: str) -> Bare:
    """`wrapper:MODE`, `interceptor:MODE`, `pass`, or nothing for bare channels."""
    if not word:
        return Bare()
    if word == "pass":
        return Pass()
    from resilience import PolicyEngine

    kind, _, mode = word.partition(":")
    engine = PolicyEngine.from_text(f"version: 1\nmode: {mode}\n")
    return {"wrapper": Wrapper, "interceptor": Interceptor}[kind](engine)
