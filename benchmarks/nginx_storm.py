"""How many of 400 calls survive an nginx that says GOAWAY after each few requests?

Methods that may not be repeated after they were processed, 20 calls at once. Bare
(C-core's own single repeat included), and ours with `trust_transport_details: true`:
every call succeeds, and the upstream saw each exactly once.
"""

import shutil
import time

from examples.servers.supervisor import Supervisor
from resilience import PolicyEngine
from tests.grpc.peers.nginx import Nginx
from tests.grpc.peers.storm import CALLS, POLICY, Upstream, blocking, on_a_loop


STYLES = {".future()": blocking, "asyncio": on_a_loop}
KEEPALIVE_REQUESTS = (1, 7)


def _program() -> str:
    places = "/usr/sbin:/usr/local/sbin:/sbin"
    found = shutil.which("nginx") or shutil.which("nginx", path=places)
    if found is None:
        msg = "nginx is not on this machine; tools/install_servers.sh installs it"
        raise FileNotFoundError(msg)
    return found


def _row(style: str, limit: int, who: str, engine: PolicyEngine | None) -> str:
    with Upstream() as upstream, Supervisor() as supervisor:
        nginx = Nginx(upstream.address, limit)
        nginx.start(supervisor, _program())
        began = time.monotonic()
        tally = STYLES[style](nginx.address, engine)
        took_s = time.monotonic() - began
        seen = upstream.executed.total()
        twice = seen - len(upstream.executed)
    return (
        f"{style:12}{limit:>10}  {who:6}{tally.succeeded:>10}/{CALLS}{seen:>12}"
        f"{twice:>8}{took_s:>9.2f} s"
    )


def report() -> str:
    """The figures as text."""
    head = ("", "limit", "succeeded", "executed", "twice", "took")
    lines = ["{:12}{:>10}{:>22}{:>12}{:>8}{:>11}".format(*head)]
    for style in STYLES:
        for limit in KEEPALIVE_REQUESTS:
            lines.append(_row(style, limit, "bare", None))
            engine = PolicyEngine.from_text(POLICY)
            try:
                lines.append(_row(style, limit, "ours", engine))
            finally:
                engine.close()
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
