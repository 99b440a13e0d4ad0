"""What does protection add to the CPU of a healthy, small boto3 call?

A client in botocore's standard mode and one with our hooks, in interleaved rounds
against a canned HTTP server in another process; CPU of this process, per call.
"""

import gc
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import boto3
from botocore.config import Config

import resilience
import resilience.botocore


ROUNDS = 31
CALLS = 60
SERVER = """
import http.server, sys, threading
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_HEAD(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.send_header("x-amz-request-id", "0123456789ABCDEF")
        self.end_headers()
    def log_message(self, *a): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""


def make_client(url: str, engine: resilience.PolicyEngine | None):
    """An S3 client in standard mode, with our hooks or without."""
    session = boto3.Session("key", "secret", region_name="us-east-1")
    if engine is not None:
        resilience.botocore.register(session, engine)
    config = Config(retries={"mode": "standard"}, s3={"addressing_style": "path"})
    return session.client("s3", endpoint_url=url, config=config)


def runner(client) -> Callable[[], float]:
    """One round: CPU in us per call."""

    def run() -> float:
        gc.collect()
        began = time.process_time()
        for _ in range(CALLS):
            client.head_object(Bucket="orders", Key="1")
        return (time.process_time() - began) / CALLS * 1e6

    return run


def report() -> str:
    """The figures as text."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    url = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    engine = resilience.PolicyEngine.from_text(
        "version: 1\nname: bench\nall: {timeout: 10s, attempt_timeout: 5s}\n"
    )
    try:
        runs = {
            "standard mode": runner(make_client(url, None)),
            "standard mode again": runner(make_client(url, None)),
            "resilience": runner(make_client(url, engine)),
        }
        samples: dict[str, list[float]] = {name: [] for name in runs}
        for run in runs.values():
            run()
        for _ in range(ROUNDS):
            for name, run in runs.items():
                samples[name].append(run())
    finally:
        server.kill()
        server.wait()
        engine.close()
    standard = samples["standard mode"]
    ratio, control = (
        statistics.median(
            ours / theirs for ours, theirs in zip(samples[name], standard, strict=True)
        )
        for name in ("resilience", "standard mode again")
    )
    ours = statistics.median(samples["resilience"])
    return (
        f"head_object: standard {statistics.median(standard):.0f} us, ours "
        f"{ours:.0f} us; median ratio of pairs {ratio:.3f} (at most 1.05; standard "
        f"against itself {control:.3f})"
    )


if __name__ == "__main__":
    print(report())
