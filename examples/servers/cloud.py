"""moto behind the faulty proxy: S3 and DynamoDB as three processes on loopback.

`Cloud` starts both, speaks to the proxy's control port, and makes clients that go
through the proxy or (to look at the truth) around it.
"""

import json
import time
import urllib.request
from typing import Any

from .ports import HOST, free_port
from .supervisor import Server, Supervisor


REGION = "eu-west-1"
CREDENTIALS = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}


class Cloud:
    """Handles of a running pair. Owned by one thread; its clients may be shared."""

    def __init__(self, endpoint: Server, proxy: Server, control_port: int) -> None:
        self.endpoint = endpoint
        """moto itself."""
        self.proxy = proxy
        """What clients are given."""
        self._control_port = control_port

    def wait_ready(self) -> None:
        """Return once both accept connections."""
        self.endpoint.wait_ready()
        self.proxy.wait_ready()

    def set_shares(self, **shares: float) -> None:
        """Change the shares of faults; what is not named becomes 0."""
        self._control("/shares", shares)

    def set_outage(self, fault: str) -> None:
        """Let every request meet *fault*; an empty text ends the outage."""
        self._control("/outage", fault)

    def counts(self) -> dict[str, int]:
        """`operation what` to requests seen by the proxy; `held`: under way now."""
        return self._control("/counts")

    def settle(self) -> None:
        """End all faults and execute what is held: the state then changes no more."""
        self.set_shares()
        self.set_outage("")
        while self._control("/release", {})["held"]:
            time.sleep(0.02)

    def reset(self) -> None:
        """End all faults, empty the endpoint and forget the proxy's counts."""
        self.settle()
        url = f"http://{self.endpoint.address}/moto-api/reset"
        _post(url, b"")
        self._control("/reset", {})

    def _control(self, path: str, given: object = None) -> dict[str, int]:
        body = b"" if given is None else json.dumps(given).encode()
        answer: dict[str, int] = json.loads(
            _post(f"http://{HOST}:{self._control_port}{path}", body)
        )
        return answer


def _post(url: str, body: bytes) -> bytes:
    request = urllib.request.Request(url, data=body, method="POST")
    # No proxy from the environment may stand between us and loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as reply:
        content: bytes = reply.read()
    return content


def start_cloud(
    supervisor: Supervisor, *, seed: int = 1, stall_s: float = 8.0
) -> Cloud:
    """Start moto and a proxy without faults; `wait_ready` before use."""
    endpoint = supervisor.module("moto", "moto.server", "-H", "{host}", "-p", "{port}")
    control_port = free_port()
    proxy = supervisor.module(
        "faulty-proxy",
        "examples.servers.faulty_proxy",
        *("--port", "{port}", "--control-port", str(control_port)),
        *("--upstream-port", str(endpoint.port)),
        *("--seed", str(seed), "--stall-s", str(stall_s)),
    )
    endpoint.start()
    proxy.start()
    return Cloud(endpoint, proxy, control_port)


def client_arguments(server: Server) -> dict[str, Any]:
    """What `session.client(service, **...)` needs to speak to *server*."""
    return {
        "endpoint_url": f"http://{server.address}",
        "region_name": REGION,
        **CREDENTIALS,
    }
