"""One etcd member on loopback, with an empty data folder, ready to be killed."""

import shutil
import urllib.request

from examples.servers.ports import HOST, free_port
from examples.servers.supervisor import Server, Supervisor


def find_etcd() -> str | None:
    """The path of the `etcd` program; None when it is not installed."""
    return shutil.which("etcd")


def etcd_server(
    supervisor: Supervisor, name: str = "etcd", *, election_ms: int = 1000
) -> Server:
    """An etcd that is not started yet; its data survives kills, not the supervisor.

    A member that comes back waits for *election_ms* to twice that, etcd's own default
    being a second, before it leads itself again.

    Raises:
        FileNotFoundError: the program is not installed.
    """
    program = find_etcd()
    if program is None:
        msg = "etcd is not installed (Debian: apt-get install etcd-server)"
        raise FileNotFoundError(msg)
    port, peer = free_port(), free_port()
    client_url, peer_url = f"http://{HOST}:{port}", f"http://{HOST}:{peer}"
    argv = [
        program,
        *("--name", "one", "--data-dir", str(supervisor.folder / name)),
        *("--listen-client-urls", client_url, "--advertise-client-urls", client_url),
        *("--listen-peer-urls", peer_url, "--initial-advertise-peer-urls", peer_url),
        *("--initial-cluster", f"one={peer_url}", "--log-level", "error"),
        *("--election-timeout", str(election_ms)),
        *("--heartbeat-interval", str(election_ms // 10)),
    ]
    return supervisor.server(name, argv, port=port)


def requests_started(server: Server) -> int:
    """Put and Range requests that this etcd process has received so far."""
    url = f"http://{server.address}/metrics"
    # No proxy from the environment may stand between us and loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    wanted = [
        line
        for line in lines
        if line.startswith("grpc_server_started_total{")
        and ('grpc_method="Put"' in line or 'grpc_method="Range"' in line)
    ]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in wanted)
