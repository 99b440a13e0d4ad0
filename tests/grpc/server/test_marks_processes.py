"""Three processes in a row: a probe of the first passes the breaker of the second."""

import json
import subprocess
import sys

import grpc
import pytest

import resilience
import resilience.grpc


SERVER = """
import json, sys
from concurrent import futures
import grpc
import resilience, resilience.grpc
from resilience.grpc.route import target_of

engine = resilience.PolicyEngine.from_text('''
version: 1
name: row
all: {breaker: {kind: adaptive}}
''')
path, below, trusts = "/shop.Cart/uu", sys.argv[1], sys.argv[2] == "yes"
if below == "-":
    def handler(request, context):
        found = context.invocation_metadata()
        ours = {k: v for k, v in found if k[:13] == "x-resilience-"}
        return json.dumps(ours).encode()
else:
    bare = grpc.insecure_channel(below)
    channel = resilience.grpc.intercept_channel(bare, engine, target="next")
    call = channel.unary_unary(path)
    call(b"x", timeout=30, wait_for_ready=True)

    def handler(request, context):
        engine.bind(target_of("next", path)).breaker.move("open", engine.now())
        return call(request)

server = grpc.server(
    futures.ThreadPoolExecutor(4),
    interceptors=[resilience.grpc.server_interceptor(trusted=lambda _: trusts)],
)
made = grpc.unary_unary_rpc_method_handler(handler)
handlers = grpc.method_handlers_generic_handler("shop.Cart", {"uu": made})
server.add_generic_rpc_handlers((handlers,))
print(server.add_insecure_port("127.0.0.1:0"), flush=True)
server.start()
sys.stdin.read()
"""
MARKED = (("x-resilience-level", "0.1000"), ("x-resilience-probe", "1"))


@pytest.fixture
def start():
    """`start(below, trusts)`: the address of a server in a process of its own."""
    made = []

    def one(below="-", trusts="yes"):
        process = subprocess.Popen(
            [sys.executable, "-c", SERVER, below, trusts],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        made.append(process)
        return f"127.0.0.1:{int(process.stdout.readline())}"

    yield one
    for process in made:
        process.communicate(timeout=30)


@pytest.mark.real
@pytest.mark.parametrize("trusts", ["yes", "no"])
def test_a_probe_passes_processes(start, trusts):
    """The mark opens the way where it is trusted; elsewhere a shed is told."""
    address = start(start(), trusts)
    with (
        grpc.insecure_channel(address) as bare,
        resilience.PolicyEngine() as engine,
    ):
        channel = resilience.grpc.intercept_channel(bare, engine, target="middle")
        call = channel.unary_unary("/shop.Cart/uu")

        if trusts == "yes":
            seen = json.loads(call(b"x", metadata=MARKED, wait_for_ready=True))
            assert dict(MARKED) == seen
        else:
            with pytest.raises(grpc.RpcError) as caught:
                call(b"x", metadata=MARKED, wait_for_ready=True)
            assert "shed" == resilience.report(caught.value).reason
