"""How the tests of asyncio streams call, and layers that do nothing."""

import asyncio

import grpc.aio


class PassUnaryStream(grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation, details, request):
        return await continuation(details, request)


class PassStreamUnary(grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation, details, requests):
        return await continuation(details, requests)


class PassStreamStream(grpc.aio.StreamStreamClientInterceptor):
    async def intercept_stream_stream(self, continuation, details, requests):
        return await continuation(details, requests)


async def given(messages):
    for message in messages:
        await asyncio.sleep(0)
        yield message


def start(channel, arity, method="Get", requests=None):
    short = "".join(word[0] for word in arity.split("_"))
    call = getattr(channel, arity)(f"/shop.Cart/{method}{short}")
    if arity == "unary_stream":
        return call(b"a")
    return call(given([b"a", b"b"]) if requests is None else requests)


async def read_all(call):
    found = []
    while (message := await call.read()) is not grpc.aio.EOF:
        found.append(message)
    return found


async def answers(call, style="iterate"):
    if not hasattr(call, "read"):
        return [await call]
    return await read_all(call) if style == "read" else [each async for each in call]
