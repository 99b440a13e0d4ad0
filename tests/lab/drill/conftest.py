"""Short drills of a module that is written for them."""

import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest

from resilience.drilling import VARIABLE


MODULE = """
import functools
import grpc
import resilience
import resilience.grpc
import resilience.grpc.aio

POLICY = '''
version: 1
name: shop
mode: {mode}
grpc:
  all:
    breaker: off
    retry_budget: off
    retry: {{initial_backoff: 1ms, max_backoff: 2ms, max_attempts: 5}}
  methods: {{shop.Cart/Get: {{idempotency: safe}}}}
'''
ready = []

def start():
    ready.append(True)
    get()

async def astart():
    ready.append(True)
    await aget()

@functools.cache
def stub():
    engine = resilience.PolicyEngine.from_text(POLICY)
    bare = grpc.insecure_channel("{address}")
    channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
    return channel.unary_unary("/shop.Cart/Get")

@functools.cache
def astub():
    engine = resilience.PolicyEngine.from_text(POLICY)
    bare = grpc.aio.insecure_channel("{address}")
    channel = resilience.grpc.aio.intercept_channel(bare, engine, target="cart")
    return channel.unary_unary("/shop.Cart/Get")

def get():
    stub()(b"x", timeout=5)

numbers = []

def numbered(number):
    numbers.append(number)
    get()

async def aget():
    await astub()(b"x", timeout=5)

def count():
    return {{"duplicates": 0, "orders": len(ready)}}

async def acount():
    return {{"orders": 7}}

def interrupt():
    raise KeyboardInterrupt

def text():
    return "no mapping"
"""
DRILL = """
version: 1
name: short
setup: shopmodule:{setup}
run: {run}
duration: 400ms
window: 30ms
load: {{rate: 200}}
faults:
  - kind: status
    code: UNAVAILABLE
    ratio: {ratio}
    at: 100ms
    lasts: 200ms
    methods: [shop.Cart/Get]
expect: [success >= 0.95]
{more}
"""


@pytest.fixture(scope="session")
def echo():
    """The address of a server that answers each call with its request."""

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)

    server = grpc.server(ThreadPoolExecutor(4), handlers=[Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def write(tmp_path, monkeypatch, echo):
    """`write(run, mode=..., ratio=..., more=...)`: an armed drill's file.

    Its set-up connects, so that a busy machine does not do that while faults are due.
    """

    def make(
        run="shopmodule:get", *, mode="enforce", ratio=0.3, more="", setup="start"
    ):
        (tmp_path / "shopmodule.py").write_text(MODULE.format(mode=mode, address=echo))
        path = tmp_path / "drill.yaml"
        path.write_text(DRILL.format(run=run, ratio=ratio, more=more, setup=setup))
        monkeypatch.setenv(VARIABLE, str(path))
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "shopmodule", raising=False)
        return str(path)

    yield make
    sys.modules.pop("shopmodule", None)
