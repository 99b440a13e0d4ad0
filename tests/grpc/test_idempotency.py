"""Idempotency that a service's descriptor declares."""

import sys

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool

from resilience.grpc.idempotency import declared


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
