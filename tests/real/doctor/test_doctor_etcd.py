"""The doctor against etcd: gRPC in Go, with HTTP/1 on the same port."""

import pytest

from examples.etcd.server import etcd_server
from resilience.lab.doctor import diagnose


pytestmark = pytest.mark.real


def test_a_server_in_go(need, supervisor):
    """A port that speaks both gRPC and HTTP/1 is a gRPC server."""
    need("etcd")
    server = etcd_server(supervisor)
    server.start()
    server.wait_ready()
    found = diagnose(server.address)

    assert () == found.problems
    for code in ("grpc-spoken", "trailers-passed", "health-serving", "no-reflection"):
        assert found.has(code), code
