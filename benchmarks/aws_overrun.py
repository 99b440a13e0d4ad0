"""By how much does a call outlive its deadline when the server stalls?

Each way of stalling, plain and over TLS, runs with an idle control in turns: the
control sleeps for the same deadline on a thread's event and shows what this machine
adds by itself. Python's own pauses are kept out: one collection over botocore's models
takes 100 to 250 ms here, with us and without, so what a case has made is frozen first.
"""

import contextlib
import gc
import pathlib
import socket
import statistics
import sys
import tempfile
import threading
import time

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import resilience
import resilience.botocore
from tests.botocore.stalling.certificates import make
from tests.botocore.stalling.modes import MODES, _list, accepts
from tests.botocore.stalling.server import StallingServer, Unreachable


DEADLINE_S = 0.5
RUNS = 20
ENGINE = resilience.PolicyEngine.from_text(
    "version: 1\nname: bench\nall: {breaker: off}\n"
)


def client_of(url, *, verify=None, worker_threads=False):
    """An S3 client with our hooks."""
    session = boto3.Session("key", "secret", region_name="us-east-1")
    resilience.botocore.register(session, ENGINE, worker_threads=worker_threads)
    config = Config(s3={"addressing_style": "path"})
    return session.client("s3", endpoint_url=url, verify=verify, config=config)


def overrun(call) -> tuple[float, str]:
    """How late *call* ends, in ms, and in what."""
    ended = "an answer"
    began = time.monotonic()
    try:
        with resilience.deadline(DEADLINE_S):
            call()
    except (BotoCoreError, ClientError) as error:
        ended = type(error).__name__
    return (time.monotonic() - began - DEADLINE_S) * 1000, ended


def freeze() -> None:
    """Keep what is there, botocore's models above all, out of later collections."""
    gc.collect()
    gc.freeze()


def idle() -> None:
    threading.Event().wait(DEADLINE_S)


@contextlib.contextmanager
def slow_names():
    """Name resolution that takes three seconds."""
    bare = socket.getaddrinfo

    def slow(host, *args, **kwargs):
        if host in {"slow.example", b"slow.example"}:
            time.sleep(3)
        return bare("127.0.0.1", *args, **kwargs)

    socket.getaddrinfo = slow
    try:
        yield
    finally:
        socket.getaddrinfo = bare


def cases(bundle, context):
    """Yield (name, what to call)."""
    for scheme in ("http", "https"):
        for name, mode in MODES.items():
            if mode.tls_only and scheme == "http":
                continue
            server = StallingServer(mode.script, context if scheme[4:] else None)
            client = client_of(server.url, verify=bundle)
            yield f"{name} ({scheme})", lambda c=client, m=mode: m.call(c)
            server.close()
    unreachable = Unreachable()
    for scheme in ("http", "https"):
        client = client_of(f"{scheme}://127.0.0.1:{unreachable.port}")
        yield f"stalls in connect ({scheme})", lambda c=client: _list(c)
    unreachable.close()
    with slow_names():
        for scheme in ("http", "https"):
            client = client_of(f"{scheme}://slow.example:1")
            yield f"stalls in DNS ({scheme})", lambda c=client: _list(c)
    server = StallingServer(accepts)
    client = client_of(server.url, worker_threads=True)
    client.meta.events.register_first("request-created.s3", lambda **_: time.sleep(3))
    yield "stalls in credentials (worker thread)", lambda c=client: _list(c)
    server.close()


def report(runs: int = RUNS) -> str:
    """The figures as text."""
    lines = [
        f"{'overrun of a 0.5 s deadline, ms':42}{'median':>8}{'most':>8}{'idle':>12}"
    ]
    worst = idlest = 0.0
    with tempfile.TemporaryDirectory() as folder:
        bundle, context = make(pathlib.Path(folder))
        for name, call in cases(bundle, context):
            freeze()
            ours, control, ends = [], [], set()
            for _ in range(runs):
                late, end = overrun(call)
                ours.append(late)
                ends.add(end)
                control.append(overrun(idle)[0])
            worst, idlest = max(worst, *ours), max(idlest, *control)
            lines.append(
                f"{name:42}{statistics.median(ours):8.1f}{max(ours):8.1f}"
                f"{statistics.median(control):6.1f}{max(control):6.1f}  "
                f"{', '.join(sorted(ends))}"
            )
    lines.append(
        f"at most {worst:.1f} ms late (goal: 50 at most, 10 in the median); "
        f"this machine, idle: at most {idlest:.1f} ms"
    )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report(int(sys.argv[1]) if len(sys.argv) > 1 else RUNS))
