"""From real calls through the sink's file to the answer: same policy, other policy."""

import contextlib
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

import resilience.grpc
from resilience import PolicyEngine
from resilience.telemetry.jsonlines import JsonLinesSink
from resilience.testing import VirtualClock


POLICY = """
version: 1
name: rates
app:
  operations:
    rates/quote:
      timeout: 5s
      attempt_timeout: 1s
      retry: {max_attempts: 3}
      retry_budget: {ratio: 0.2, min_per_second: 1}
      breaker: {kind: KIND}
"""
ALONE = """
version: 1
name: alone
all:
  breaker: off
  retry_budget: off
  retry: {max_attempts: 3, initial_backoff: 1ms, jitter: full}
"""


@pytest.fixture
def recording(tmp_path):
    """A file, and an engine that records into it; closed when the file is asked for."""

    class Recording:
        path = tmp_path / "records.jsonl"

        def engine(self, text, **given):
            self.sink = JsonLinesSink(self.path)
            self.made = PolicyEngine.from_text(text, sinks=[self.sink], **given)
            return self.made

        def close(self):
            self.made.close()
            assert self.sink.lost == 0
            return self.path

    return Recording()


@pytest.mark.parametrize("kind", ["classic", "adaptive"])
def test_an_outage(recording, play, kind):
    """2000 calls and a dead server for 20 s: the same again, or with two attempts."""
    rng, text = random.Random(3), POLICY.replace("KIND", kind)
    with VirtualClock() as clock:
        engine = recording.engine(text, clock=clock, seed=1)

        def quote(_):
            clock.advance(rng.uniform(0.001, 0.1))
            is_dead = 20 < clock.now() - 1000 < 40
            if rng.random() < (0.9 if is_dead else 0.05):
                raise ConnectionRefusedError

        for _ in range(2000):
            clock.advance(rng.expovariate(20))
            try:
                engine.call("app:rates/quote", quote, idempotency="safe")
            except (ConnectionRefusedError, resilience.Rejected):
                continue
    path = recording.close()

    same = play(path, text)
    fewer = play(path, text.replace("max_attempts: 3", "max_attempts: 2"))

    assert same.contents.calls == 2000
    assert same.recorded.retries > 50
    assert same.recorded.unsent["breaker-open"] > 10
    assert same.differences.total() == 0
    assert same.recorded.as_dict() == same.replayed.as_dict()
    assert same.breakers == same.contents.breakers
    assert {"assumed": 0, "unknown": 0} == {
        key: same.attempts[key] for key in ("assumed", "unknown")
    }
    assert fewer.differences["fewer-attempts"] > 0
    assert (
        fewer.replayed.denied["attempts-exhausted"]
        > (same.replayed.denied["attempts-exhausted"])
    )
    first = next(one for one in fewer.examples if one.attempts == (3, 2))
    assert "now attempt 2 ConnectionRefusedError" in first.why
    assert "fail: attempts-exhausted" in first.why


@pytest.mark.slow
def test_threads_on_the_machine_s_clock(recording, play):
    """Timers fire late and threads take turns: what was decided is decided again."""
    engine = recording.engine(ALONE)
    state = threading.local()

    def quote(attempt):
        if attempt.number <= state.failures:
            raise ConnectionRefusedError

    def work(seed):
        rng = random.Random(seed)
        for _ in range(20):
            state.failures = rng.choice([0, 0, 1, 2, 3])
            try:
                engine.call("app:rates/quote", quote, idempotency="safe")
            except ConnectionRefusedError:
                continue

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    found = play(recording.close(), ALONE)

    assert found.contents.calls == 80
    assert found.recorded.retries > 20
    assert found.examples == ()
    assert found.attempts["assumed"] == found.attempts["unknown"] == 0


@pytest.mark.slow
def test_grpc(recording, play):
    """Calls of a real channel: what their adapter knew is enough to play them again."""
    answers = iter([None, "UNAVAILABLE", None, "NOT_FOUND", "UNAVAILABLE", None] * 4)

    def handle(request, context):
        code = next(answers)
        if code:
            context.abort(grpc.StatusCode[code], "no")
        return request

    class Shop(grpc.GenericRpcHandler):
        def service(self, _):
            return grpc.unary_unary_rpc_method_handler(handle)

    server = grpc.server(ThreadPoolExecutor(1), handlers=[Shop()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    text = ALONE + 'grpc: {methods: {"shop.Cart/*": {idempotency: safe}}}\n'
    engine = recording.engine(text)
    with grpc.insecure_channel(f"127.0.0.1:{port}") as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        get = channel.unary_unary("/shop.Cart/Get")
        for _ in range(12):
            with contextlib.suppress(grpc.RpcError):
                get(b"x", timeout=5)
    server.stop(None).wait()
    path = recording.close()

    same = play(path, text)
    none = play(path, text.replace("max_attempts: 3", "max_attempts: 1"))

    assert same.contents.calls == 12
    assert same.examples == ()
    assert same.attempts["assumed"] == same.attempts["unknown"] == 0
    assert none.replayed.attempts == 12
    assert none.replayed.retries == 0
