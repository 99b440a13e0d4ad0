"""Idempotency that a service's descriptor declares."""

import contextlib
import sys

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

import resilience.grpc
from resilience import PolicyEngine
from resilience.core.record import Notice
from resilience.grpc.idempotency import declared
from resilience.testing import CollectingSink


@pytest.fixture(scope="module", autouse=True)
def _service():
    file = descriptor_pb2.FileDescriptorProto(
        name="resilience_test_declared.proto", package="declared"
    )
    file.message_type.add(name="Empty")
    service = file.service.add(name="Shop")
    for name, level in [("Get", 1), ("Put", 2), ("Charge", 0)]:
        method = service.method.add(
            name=name, input_type=".declared.Empty", output_type=".declared.Empty"
        )
        method.options.idempotency_level = level
    descriptor_pool.Default().Add(file)


@pytest.mark.parametrize(
    ("method", "expected"),
    [("Get", "safe"), ("Put", "safe"), ("Charge", "none"), ("Missing", "none")],
)
def test_the_descriptor_declares(method, expected):
    """NO_SIDE_EFFECTS and IDEMPOTENT are safe; what says nothing is not."""
    assert expected == declared("declared.Shop", method)


@pytest.mark.parametrize("service", ["", "unknown.Service", "a/b", "\0"])
def test_an_unknown_service_declares_nothing(service):
    """What protobuf does not know is not repeated, and no error."""
    assert declared(service, "Get") == "none"


def test_protobuf_is_not_imported_for_it(monkeypatch):
    """Without protobuf in the process nothing is declared and nothing is imported."""
    monkeypatch.delitem(sys.modules, "google.protobuf.descriptor_pool")

    assert declared("declared.Shop", "Get") == "none"
    assert "google.protobuf.descriptor_pool" not in sys.modules


def test_undeclared_methods_are_said_once_with_the_first_call(server):
    """The first call of a channel says how many methods nobody has declared."""
    sink = CollectingSink()
    engine = PolicyEngine.from_text(
        "version: 1\nname: t\n"
        "grpc: {methods: {shop.Cart/Charge: {idempotency: keyed}}}",
        sinks=[sink],
    )
    with grpc.insecure_channel(server.address) as bare:
        channel = resilience.grpc.intercept_channel(bare, engine, target="cart")
        echo, _, _ = (
            channel.unary_unary(f"/shop.Cart/{name}")
            for name in ("Echo", "B", "Charge")
        )
        before = notices(sink)
        for _ in range(2):
            with contextlib.suppress(grpc.RpcError):
                echo(b"x")

    assert [] == before
    assert 1 == len(notices(sink))
    assert "2 methods undeclared" in notices(sink)[0]


def notices(sink):
    """The texts about undeclared methods."""
    found = [r for r in sink.records if isinstance(r, Notice)]
    return [record.message for record in found if record.code == "undeclared"]
