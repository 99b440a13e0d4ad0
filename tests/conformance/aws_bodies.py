"""Bodies through cuts and stalls: whole, bounded, nothing left behind; and their cost.

    python aws_bodies.py [--mebibytes 64] [--cuts 50] [--pairs 15] [--short] [--no-cost]
                         [--asyncio]

Downloads and uploads run against moto's server (a process of its own) through a proxy
that cuts and stalls; the cost is measured against a stand-in that is quicker than any
client, in interleaved pairs. Exit code 1 when something does not hold. With
`--asyncio` only downloads run, by aiobotocore, which must be installed.
"""

import argparse
import hashlib
import io
import pathlib
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time


sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

import boto3
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import BotoCoreError

import resilience
import resilience.botocore
from resilience.botocore.body_watch import MOST_PIECE
from tests.botocore.cutting.proxy import CuttingProxy, Fault


MIB = 1 << 20
KERNEL = 256 * 1024
"""What the proxy may have handed to its kernel and a reset threw away."""
MOTO = """
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(*server.get_host_and_port(), flush=True)
import sys
sys.stdin.read()
"""
PARTS = TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB)
POLICY = """
version: 1
name: bodies
aws:
  all: {{breaker: off, idle_timeout: {silence}ms, retry: {{initial_backoff: 10ms}}}}
"""


class Notices:
    """Keeps the codes of all notices."""

    def __init__(self):
        self.codes = []

    def emit(self, record):
        if type(record).__name__ == "Notice":
            self.codes.append(record.code)


def client_of(url, engine=None):
    """An S3 client of *url*; without an engine a bare one."""
    session = boto3.Session("key", "secret", region_name="us-east-1")
    if engine is not None:
        resilience.botocore.register(session, engine)
    config = Config(s3={"addressing_style": "path"})
    return session.client("s3", endpoint_url=url, config=config)


class Cuts:
    """*count* faults at random places of *size* bytes, for GETs of one object."""

    def __init__(self, rng, size, count):
        self.rng, self.left, self.mean = rng, count, size / (count + 1)
        self.kinds = []

    def __call__(self, request):
        if request.method != "GET" or not self.left:
            return None
        self.left -= 1
        self.kinds.append(self.rng.choice(("fin", "rst", "stall")))
        return Fault(self.kinds[-1], int(self.rng.expovariate(1 / self.mean)))


def by_chunks(client, sink):
    body = client.get_object(Bucket="bkt", Key="k")["Body"]
    for chunk in body.iter_chunks(MIB):
        sink.update(chunk)


def at_once(client, sink):
    sink.update(client.get_object(Bucket="bkt", Key="k")["Body"].read())


def by_download_file(client, sink):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "back")
        client.download_file("bkt", "k", str(path))
        with path.open("rb") as file:
            while part := file.read(MIB):
                sink.update(part)


def resident(line, *, renew=False):
    """KiB of memory, now (VmRSS) or at most since the last renewal (VmHWM)."""
    own = pathlib.Path("/proc/self")
    if not own.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if renew:
        own.joinpath("clear_refs").write_text("5")
    status = own.joinpath("status").read_text()
    return int(status.partition(f"{line}:")[2].split()[0])


WAYS = (by_chunks, at_once, by_download_file)


def downloads(behind, data, cuts, seed, policy, *, ways=WAYS, connect=client_of):
    """Each way of reading, through the cuts; problems found."""
    problems = []
    expected = hashlib.sha256(data).hexdigest()
    engine = resilience.PolicyEngine.from_text(policy)
    for read in ways:
        proxy = CuttingProxy(behind, Cuts(random.Random(seed), len(data), cuts))
        client = connect(proxy.url, engine)
        before = resident("VmRSS", renew=True)
        began, found = time.monotonic(), hashlib.sha256()
        read(client, found)
        took = time.monotonic() - began
        grew = (resident("VmHWM") - before) / 1024
        proxy.close()
        kinds = proxy.fault.kinds
        again = proxy.down - len(data)
        most = len(kinds) * (MOST_PIECE + KERNEL)
        say = (
            f"{read.__name__:17} {len(kinds)} faults "
            f"({', '.join(f'{kinds.count(k)} {k}' for k in ('fin', 'rst', 'stall'))}), "
            f"{proxy.count('GET')} GETs, {took:.1f} s, memory +{grew:.1f} MiB, "
            f"received twice {again / MIB:.2f} MiB (allowed {most / MIB:.1f})"
        )
        print(say, flush=True)
        if found.hexdigest() != expected:
            problems.append(f"{read.__name__}: another sha256")
        if again > most:
            problems.append(f"{read.__name__}: received too much twice")
        in_memory = "chunks" not in read.__name__
        allowed = 24 + in_memory * 1.25 * len(data) / MIB
        if grew > allowed:
            problems.append(f"{read.__name__}: memory grew by {grew:.0f} MiB")
        if len(kinds) < min(cuts, 9):
            problems.append(f"{read.__name__}: only {len(kinds)} faults")
    return problems


class UploadFaults:
    """Each part is cut or loses its answer twice at most; so are begin and end."""

    def __init__(self, rng):
        self.rng = rng
        self.had = {}
        self.lost_creations = 0

    def __call__(self, request):
        what = request.path
        if request.method not in {"PUT", "POST"} or self.had.get(what, 0) >= 2:
            return None
        if self.rng.random() < 0.35:
            return None
        self.had[what] = self.had.get(what, 0) + 1
        if request.method == "PUT":
            after = int(self.rng.random() * 5 * MIB)
            kind = self.rng.choice(("fin", "rst", "lose"))
            return Fault(kind, after, "down" if kind == "lose" else "up")
        self.lost_creations += what.endswith("?uploads")
        return Fault("lose")


def uploads(behind, data, rounds, seed, policy):
    """`upload_file` through cuts; problems found."""
    problems = []
    notices = Notices()
    direct = client_of(f"http://{behind[0]}:{behind[1]}")
    faults = lost = 0
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "source")
        path.write_bytes(data)
        for number in range(rounds):
            key = f"up{number}"
            # Each with a retry budget of its own: this is about parts, not about it.
            engine = resilience.PolicyEngine.from_text(policy, sinks=[notices])
            proxy = CuttingProxy(behind, UploadFaults(random.Random(seed + number)))
            client = client_of(proxy.url, engine)
            client.upload_file(str(path), "bkt", key, Config=PARTS)
            proxy.close()
            faults += proxy.faults
            lost += proxy.fault.lost_creations
            back = direct.get_object(Bucket="bkt", Key=key)["Body"].read()
            if back != data:
                problems.append(f"upload_file {number}: the object is not whole")
            direct.delete_object(Bucket="bkt", Key=key)
    left = direct.list_multipart_uploads(Bucket="bkt").get("Uploads") or []
    said = notices.codes.count("upload-unknown")
    print(
        f"upload_file       {rounds} rounds, {faults} faults, {lost} answers to "
        f"creations lost, {len(left)} uploads left, {said} rounds report some",
        flush=True,
    )
    if len(left) > lost:
        problems.append(f"{len(left)} uploads left, {lost} creations lost")
    if (lost > 0) != (said > 0):
        problems.append(f"{lost} creations lost, {said} reported")
    for one in left:
        at = {"Bucket": "bkt", "Key": one["Key"], "UploadId": one["UploadId"]}
        direct.abort_multipart_upload(**at)
    return problems


def uploads_out_of_time(behind, rounds, seed, policy):
    """Uploads that stall until their deadline: back in time, nothing left."""
    problems, late = [], []
    rng = random.Random(seed)
    engine = resilience.PolicyEngine.from_text(policy)
    direct = client_of(f"http://{behind[0]}:{behind[1]}")
    data = io.BytesIO(bytes(16 * MIB))
    for number in range(rounds):

        def fault(request):
            is_part = request.method == "PUT" and "partNumber" in request.path
            return Fault("stall", rng.randrange(5 * MIB), "up") if is_part else None

        proxy = CuttingProxy(behind, fault)
        client = client_of(proxy.url, engine)
        began = time.monotonic()
        try:
            with resilience.deadline(0.5):
                data.seek(0)
                stream = io.BytesIO(data.getbuffer())
                client.upload_fileobj(stream, "bkt", f"late{number}", Config=PARTS)
        except BotoCoreError:
            late.append((time.monotonic() - began - 0.5) * 1000)
        else:
            problems.append("a stalled upload succeeded")
        for thread in threading.enumerate():
            if thread.name == "resilience-abort":
                thread.join()
        proxy.close()
    left = direct.list_multipart_uploads(Bucket="bkt").get("Uploads") or []
    median = statistics.median(late) if late else 0
    print(
        f"out of time       {rounds} uploads, {median:.1f} ms late (median), "
        f"{max(late, default=0):.1f} at most, {len(left)} uploads left",
        flush=True,
    )
    if left:
        problems.append(f"{len(left)} uploads left after their deadline")
    return problems


def cost(mebibytes, pairs):
    """CPU time of whole transfers, bare and ours in turns; problems found."""
    folder = pathlib.Path(__file__).parent
    command = [sys.executable, str(folder / "aws_bodies_server.py"), str(mebibytes)]
    problems = []
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server,
        tempfile.TemporaryDirectory() as place,
    ):
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        source, back = pathlib.Path(place, "source"), pathlib.Path(place, "back")
        source.write_bytes(bytes(mebibytes * MIB))
        at = {"Bucket": "bkt", "Key": "k"}

        def chunks(client):
            for _ in client.get_object(**at)["Body"].iter_chunks(64 * 1024):
                pass

        ways = {
            "download_file": lambda c: c.download_file("bkt", "k", str(back)),
            "upload_file": lambda c: c.upload_file(str(source), "bkt", "k"),
            "get_object.read": lambda c: c.get_object(**at)["Body"].read(),
            "iter_chunks 64 KiB": chunks,
        }
        bare, ours = client_of(url), client_of(url, resilience.PolicyEngine())
        for name, way in ways.items():
            times = {id(bare): [], id(ours): []}
            for number in range(pairs + 1):
                for client in (bare, ours) if number % 2 else (ours, bare):
                    began = time.process_time()
                    way(client)
                    took = time.process_time() - began
                    if number:
                        times[id(client)].append(took * 1000)
            both = [statistics.median(found) for found in times.values()]
            ratio = both[1] / both[0]
            print(
                f"{name:18} bare {both[0]:6.1f} ms, ours {both[1]:6.1f} ms CPU for "
                f"{mebibytes} MiB: {ratio:.3f} (medians of {pairs} pairs)",
                flush=True,
            )
            if ratio > 1.05:
                problems.append(f"{name} costs {ratio:.3f} times bare")
        server.kill()
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mebibytes", type=int, default=64)
    parser.add_argument("--cuts", type=int, default=50)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true", help="8 MiB, 9 cuts")
    parser.add_argument("--no-cost", action="store_true")
    parser.add_argument("--asyncio", action="store_true")
    given = parser.parse_args()
    size, cuts, rounds = given.mebibytes, given.cuts, given.rounds
    policy = POLICY.format(silence=400 if given.short else 1000)
    if given.short:
        size, cuts, rounds = 8, 9, 1
    command = [sys.executable, "-c", MOTO]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    data = random.Random(given.seed).randbytes(size * MIB)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, **pipes) as moto:
        host, port = moto.stdout.readline().split()
        behind = (host, int(port))
        direct = client_of(f"http://{host}:{port}")
        direct.create_bucket(Bucket="bkt")
        direct.put_object(Bucket="bkt", Key="k", Body=data)
        if given.asyncio:
            import aws_bodies_aio as aio

            more = {"ways": aio.WAYS, "connect": aio.client_of}
            problems = downloads(behind, data, cuts, given.seed, policy, **more)
        else:
            problems = downloads(behind, data, cuts, given.seed, policy)
            problems += uploads(behind, data, rounds, given.seed, policy)
            late = 3 if given.short else 10
            problems += uploads_out_of_time(behind, late, given.seed, policy)
        moto.stdin.close()
        moto.terminate()
    if not (given.no_cost or given.asyncio):
        problems += cost(size, given.pairs)
    for problem in problems:
        print("PROBLEM:", problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
