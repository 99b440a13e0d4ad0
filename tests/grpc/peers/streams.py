"""A peer whose streams follow a script, one entry for each attempt."""

import threading
from concurrent import futures

import grpc


POLICY = """
version: 1
edition: "2026.11"
name: streams
all: {idempotency: safe, breaker: off, retry_budget: off,
      retry: {max_attempts: 3, initial_backoff: 1ms, max_backoff: 2ms}}
grpc:
  methods:
    shop.Cart/Slow: {first_message_timeout: 100ms}
    shop.Cart/Idle: {idle_timeout: 100ms}
    shop.Cart/Later: {retry: {initial_backoff: 1h, max_backoff: 1h, jitter: none}}
"""
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
ARITIES = ("unary_stream", "stream_unary", "stream_stream")
METHODS = ("Get", "Slow", "Idle", "Later")


class Peer:
    """Plays one script entry, a function of requests and context, for each attempt.

    An entry gets an iterator of requests and yields answers; then it echoes.
    """

    def __init__(self):
        self.script = []
        self.seen = []
        self.released = threading.Event()
        pool = futures.ThreadPoolExecutor(16)
        self._server = grpc.server(pool)
        for service, handler in {
            "us": grpc.unary_stream_rpc_method_handler(
                lambda request, context: self._play(iter([request]), context)
            ),
            "su": grpc.stream_unary_rpc_method_handler(
                lambda requests, context: b",".join(self._play(requests, context))
            ),
            "ss": grpc.stream_stream_rpc_method_handler(self._play),
        }.items():
            generic = grpc.method_handlers_generic_handler(
                "shop.Cart", {f"{name}{service}": handler for name in METHODS}
            )
            self._server.add_generic_rpc_handlers((generic,))
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _play(self, requests, context):
        seen = []
        self.seen.append(seen)
        entry = self.script.pop(0) if self.script else echo

        def kept():
            for request in requests:
                seen.append(request)
                yield request

        yield from entry(kept(), context)

    def wait(self, requests, context):
        """A script entry that answers nothing until the test is over."""
        self.released.wait(10)
        yield from ()

    def fail_after_headers(self, requests, context):
        """A script entry whose headers come long before it fails."""
        context.send_initial_metadata((("k", "1"), ("k", "2")))
        self.released.wait(10)
        context.abort(UNAVAILABLE, "scripted")
        yield b""

    def stop(self):
        self.released.set()
        self._server.stop(None).wait()


def echo(requests, context):
    yield from requests


def fail(requests, context):
    next(requests)
    context.abort(UNAVAILABLE, "scripted")
    yield b""


def fail_late(requests, context):
    yield next(requests)
    context.abort(UNAVAILABLE, "scripted")


def named(name):
    """The policy, its methods named as the peer does: one name for each arity."""
    lines = POLICY.splitlines()
    for line in lines[-3:]:
        head, _, body = line.partition(": ")
        lines += [f"{head}{arity}: {body}" for arity in ("us", "su", "ss")]
    return "\n".join(lines).replace("name: streams", f"name: {name}")
