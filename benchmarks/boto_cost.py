"""What does protection add to the CPU of a healthy boto3 call?

A client in botocore's standard mode, another such one as control, and one with our
hooks, against a server in another process; CPU of this process. They take turns in
short blocks, in an order that changes, and each round has fresh clients: what a process
happens to have where in memory costs one client a few hundredths more than the other.
"""

import contextlib
import gc
import io
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from typing import NamedTuple

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config

import resilience
import resilience.botocore


ROUNDS = 8
"""Sets of fresh clients."""
BLOCKS = 9
"""Turns that each client has in a round."""
CALLS = 20
"""Small calls in one block."""
MIB = 1 << 20
BIG = 64 * MIB
POLICY = "version: 1\nname: bench\nall: {timeout: 60s, attempt_timeout: 30s}\n"
STANDARD, CONTROL, OURS = "standard mode", "standard mode again", "resilience"
SERVER = """
import socket, sys, threading
BIG = bytes(64 << 20)
SMALL = BIG[:1024]
ITEM = b'{"Item":{"Key":{"S":"1"},"Text":{"S":"' + 200 * b'x' + b'"}}}'
CREATED = b'<R><UploadId>u</UploadId></R>'
def head(length, *more):
    lines = [b"HTTP/1.1 200 OK", b"x-amz-request-id: 0123456789ABCDEF",
             b'ETag: "0123456789abcdef0123456789abcdef"',
             b"Content-Length: %d" % length]
    return b"\\r\\n".join([*lines, *more]) + b"\\r\\n\\r\\n"
def answer(line, named):
    method, path, _ = line.split(b" ")
    body = b""
    if method == b"POST":
        body = b"<R/>" if b"uploadId" in path else ITEM
        body = CREATED if b"uploads" in path else body
    elif method != b"PUT":
        body = BIG if b"big" in path else SMALL
        asked = named.get(b"range")
        if asked:
            first, last = asked.strip()[6:].split(b"-")
            last = int(last or len(body) - 1)
            told = b"Content-Range: bytes %d-%d/%d" % (int(first), last, len(body))
            body = memoryview(body)[int(first) : last + 1]
            return head(len(body), told).replace(b"200 OK", b"206 Partial"), body
    return head(len(body)), b"" if method == b"HEAD" else body
def serve(sock):
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = sock.makefile("rb", 1 << 18)
    sink = bytearray(1 << 18)
    while line := file.readline():
        named = {}
        while (field := file.readline()) != b"\\r\\n":
            name, _, value = field.partition(b":")
            named[name.lower()] = value
        if b"expect" in named:
            sock.sendall(b"HTTP/1.1 100 Continue\\r\\n\\r\\n")
        left = int(named.get(b"content-length", 0))
        while left:
            left -= file.readinto(memoryview(sink)[: min(left, len(sink))])
        chunked = b"chunked" in named.get(b"transfer-encoding", b"")
        while chunked:
            size = int(file.readline().split(b";")[0], 16)
            left = size
            while left:
                left -= file.readinto(memoryview(sink)[: min(left, len(sink))])
            if not size:
                while file.readline() != b"\\r\\n":
                    pass
                break
            file.readline()
        first, body = answer(line, named)
        if len(body) <= 65536:
            sock.sendall(first + bytes(body))
        else:
            sock.sendall(first)
            sock.sendall(body)
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
def accept():
    while True:
        threading.Thread(target=serve, args=listener.accept()[:1], daemon=True).start()
threading.Thread(target=accept, daemon=True).start()
sys.stdin.read()
"""


class Operation(NamedTuple):
    """One thing that is measured."""

    name: str
    service: str
    call: Callable[[object], object]
    is_small: bool = True


PLACE = {"Bucket": "orders", "Key": "1"}
LARGE = {"Bucket": "orders", "Key": "big"}
ALONE = TransferConfig(use_threads=False)
OPERATIONS = (
    Operation(
        "DynamoDB GetItem",
        "dynamodb",
        lambda c: c.get_item(TableName="orders", Key={"Key": {"S": "1"}}),
    ),
    Operation("S3 HeadObject", "s3", lambda c: c.head_object(**PLACE)),
    Operation(
        "S3 PutObject, 1 KiB", "s3", lambda c: c.put_object(**PLACE, Body=b"x" * 1024)
    ),
    Operation(
        "S3 GetObject, 1 KiB", "s3", lambda c: c.get_object(**PLACE)["Body"].read()
    ),
    Operation(
        "64 MiB get_object",
        "s3",
        lambda c: sum(map(len, c.get_object(**LARGE)["Body"].iter_chunks(MIB))),
        is_small=False,
    ),
    Operation(
        "64 MiB put_object",
        "s3",
        lambda c: c.put_object(**LARGE, Body=io.BytesIO(bytes(BIG))),
        is_small=False,
    ),
    Operation(
        "64 MiB download_fileobj",
        "s3",
        lambda c: c.download_fileobj(**LARGE, Fileobj=io.BytesIO(), Config=ALONE),
        is_small=False,
    ),
    Operation(
        "64 MiB upload_fileobj",
        "s3",
        lambda c: c.upload_fileobj(
            **LARGE, Fileobj=io.BytesIO(bytes(BIG)), Config=ALONE
        ),
        is_small=False,
    ),
)


@contextlib.contextmanager
def serving() -> Generator[str]:
    """A server in another process; its URL."""
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
    finally:
        server.kill()
        server.wait()


def make_client(service: str, url: str, engine: resilience.PolicyEngine | None):
    """A client in standard mode, with our hooks or without."""
    session = boto3.Session("key", "secret", region_name="us-east-1")
    if engine is not None:
        resilience.botocore.register(session, engine)
    config = Config(retries={"mode": "standard"}, s3={"addressing_style": "path"})
    return session.client(service, endpoint_url=url, config=config)


def block(operation: Operation, client: object) -> float:
    """CPU of one block, in us per call."""
    calls = CALLS if operation.is_small else 1
    call = operation.call
    gc.collect()
    began = time.process_time()
    for _ in range(calls):
        call(client)
    return (time.process_time() - began) / calls * 1e6


def measure(
    operation: Operation, url: str, engine: resilience.PolicyEngine, rounds: int
) -> dict[str, list[list[float]]]:
    """All blocks of all rounds, by whose client it was."""
    engines = {STANDARD: None, CONTROL: None, OURS: engine}
    found: dict[str, list[list[float]]] = {name: [] for name in engines}
    for turn in range(rounds):
        names = [*engines]
        names = names[turn % 3 :] + names[: turn % 3]
        clients = {n: make_client(operation.service, url, engines[n]) for n in names}
        samples: dict[str, list[float]] = {name: [] for name in names}
        for name in names:
            block(operation, clients[name])
        for _ in range(BLOCKS if operation.is_small else 3):
            for name in names:
                samples[name].append(block(operation, clients[name]))
            names.reverse()
        for name in names:
            found[name].append(samples[name])
    return found


def ratio(
    found: dict[str, list[list[float]]],
    name: str,
    reduce: Callable[[list[float]], float],
) -> float:
    """The median over rounds of what *name* costs, against standard mode.

    Ours is held against the mean of both clients in standard mode.
    """
    rounds = zip(found[name], found[STANDARD], found[CONTROL], strict=True)
    return statistics.median(
        reduce(ours) / reduce(theirs)
        if name == CONTROL
        else 2 * reduce(ours) / (reduce(theirs) + reduce(again))
        for ours, theirs, again in rounds
    )


def frames(operation: Operation, client: object) -> int:
    """Python frames that one call enters: what no other work on the machine changes."""
    count = 0

    def enter(_frame: object, event: str, _arg: object) -> None:
        nonlocal count
        count += event == "call"

    for _ in range(3):
        operation.call(client)
    sys.setprofile(enter)
    try:
        operation.call(client)
    finally:
        sys.setprofile(None)
    return count


HEAD = (
    f"{'':26}{'standard':>12}{'ours':>12}{'ratio':>8}{'least':>8}"
    f"{'itself':>8}{'least':>8}{'frames':>8}{'more':>6}"
)


def report(rounds: int = ROUNDS) -> str:
    """The figures as text."""
    lines = [
        "CPU per call against the mean of two clients in standard mode, and the one of",
        "these against the other;",
        "median of rounds, of medians of blocks and of least blocks; Python frames",
        HEAD,
    ]
    engine = resilience.PolicyEngine.from_text(POLICY)
    with serving() as url, engine:
        for operation in OPERATIONS:
            found = measure(operation, url, engine, rounds)
            unit = 1 if operation.is_small else 1000
            cpu = {
                name: statistics.median(map(statistics.median, rounds)) / unit
                for name, rounds in found.items()
            }
            word = "us" if operation.is_small else "ms"
            made = [
                frames(operation, make_client(operation.service, url, one))
                for one in (None, engine)
            ]
            ratios = (
                f"{ratio(found, name, reduce):>8.3f}"
                for name in (OURS, CONTROL)
                for reduce in (statistics.median, min)
            )
            lines.append(
                f"{operation.name:26}{cpu[STANDARD]:>9.0f} {word}{cpu[OURS]:>9.0f} "
                f"{word}{''.join(ratios)}{made[0]:>8}{made[1] - made[0]:>+6}"
            )
    return "\n".join(lines)


if __name__ == "__main__":
    print(report())
