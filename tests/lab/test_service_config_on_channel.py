"""What `compile_service_config` says is obeyed by grpcio's own retries."""

import json
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from resilience import policy
from resilience.lab.service_config import compile_service_config


POLICY = """
version: 1
edition: "2026.11"
grpc:
  all: {retry: {initial_backoff: 2ms, max_backoff: 3ms}}
  methods:
    shop.Cart/Get: {idempotency: safe, retry: {max_attempts: 4}}
    shop.Cart/Any:
      idempotency: accept_duplicates
      retry: {retry_on: [default, ABORTED]}
    shop.Cart/Put: {}
    shop.Cart/Off: {idempotency: safe, retry: off}
"""


class Failing:
    """A server that answers each call with the code that the request names."""

    def __init__(self):
        self.calls = 0
        names = ("Get", "Any", "Put", "Off")
        handler = grpc.unary_unary_rpc_method_handler(self._fail)
        self._server = grpc.server(
            ThreadPoolExecutor(2),
            handlers=[
                grpc.method_handlers_generic_handler(
                    "shop.Cart", dict.fromkeys(names, handler)
                )
            ],
        )
        port = self._server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self._server.start()

    def _fail(self, request, context):
        self.calls += 1
        if request:
            context.abort(grpc.StatusCode[request.decode()], "on purpose")
        return b"0123456789"

    def stop(self):
        self._server.stop(None).wait()


@pytest.fixture
def failing():
    made = Failing()
    yield made
    made.stop()


def call(failing, text, method="Get", code="UNAVAILABLE"):
    """Return the status and the attempts of a call on a channel of grpcio alone."""
    found = compile_service_config(policy.load([("p.yaml", text)]))
    options = [("grpc.service_config", found.as_json())]
    with grpc.insecure_channel(failing.address, options=options) as channel:
        made = channel.unary_unary(f"/shop.Cart/{method}")
        with pytest.raises(grpc.RpcError) as caught:
            made(code.encode(), timeout=10)
    return caught.value.code().name, failing.calls


@pytest.mark.parametrize(
    ("method", "code", "attempts"),
    [
        ("Get", "UNAVAILABLE", 4),
        ("Get", "ABORTED", 1),
        ("Any", "ABORTED", 3),
        ("Put", "UNAVAILABLE", 1),
        ("Off", "UNAVAILABLE", 1),
    ],
)
def test_attempts(failing, method, code, attempts):
    """Native retries make the attempts that the policy says, for its codes."""
    assert (code, attempts) == call(failing, POLICY, method, code)


def test_tokens(failing):
    """Native retries stop when half of the tokens are gone."""
    text = POLICY.replace(
        "all: {", "all: {retry_budget: {max_tokens: 4, token_ratio: 0.1}, "
    )

    # The second failure leaves 2 of 4 tokens: no more than half.
    assert ("UNAVAILABLE", 2) == call(failing, text)


def test_sizes(failing):
    """A channel refuses to send what is larger than the policy says."""
    text = POLICY + "  channel: {max_send_size: 4B}\n"

    assert ("RESOURCE_EXHAUSTED", 0) == call(failing, text)


def test_every_word_is_taken(failing):
    """A channel takes a config with everything in it: one bad word fails every call."""
    text = """
version: 1
edition: "2026.11"
grpc:
  channel:
    health_check: shop.Cart
    wait_for_ready: true
    max_send_size: 1MiB
    max_receive_size: 1MiB
  all:
    timeout: 100s
    idempotency: safe
    retry: {max_attempts: 3, initial_backoff: 2ms, max_backoff: 3ms}
    retry_budget: {kind: tokens, max_tokens: 1, token_ratio: 0.001}
  methods:
    shop.Cart/Any: {retry: off, hedging: {hedging_delay: 50ms}}
"""
    found = compile_service_config(policy.load([("p.yaml", text)]), timeouts=True)
    words = json.dumps(found.config)
    options = [("grpc.service_config", found.as_json())]
    with grpc.insecure_channel(failing.address, options=options) as channel:
        answer = channel.unary_unary("/shop.Cart/Get")(b"")

    assert b"0123456789" == answer
    for word in ("timeout", "retryPolicy", "hedgingPolicy", "retryThrottling"):
        assert f'"{word}"' in words
