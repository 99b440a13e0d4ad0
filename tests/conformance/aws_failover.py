"""Region one dies under load: who is answered, where writes are, how it comes back.

    python tests/conformance/aws_failover.py [--short] [--how refuse|hang] [--seed N]

Two moto servers in processes of their own are two regions; a TCP proxy stands in front
of the first. Threads read one object and write others, at a steady rate, through one
client whose policy fails over. Then the first region is dead for a while: it refuses
and resets connections (`refuse`), or accepts everything and answers nothing (`hang`).

Exit status 1 when fewer than 99.9 % of the calls were answered within their deadline
(`hang`: of the reads; a write that the first region may have is not repeated, and says
so), when it took more than 5 s to be back in the first region, or when a write is in
both regions, in none though it was answered, or was answered twice.
"""

import argparse
import asyncio
import json
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import resilience
import resilience.botocore


SLACK_S = 0.05
"""How late an answer may be seen, on a machine that others use."""
BACK_S = 5.0
SHARE = 0.999
WRITES = 0.2
HOME, AWAY = "us-east-1", "eu-west-1"
BUCKET, THERE = "orders", "orders-eu"


class Phases(NamedTuple):
    """How long each phase lasts, and what a call and an attempt have, in seconds."""

    before: float
    dead: float
    after: float
    deadline: float
    attempt: float


FULL = Phases(4.0, 10.0, 8.0, deadline=3.0, attempt=0.5)
SHORT = Phases(1.0, 2.0, 4.0, deadline=8.0, attempt=3.0)
"""Run beside other tests: a slow machine is no dead region."""


class Result(NamedTuple):
    """One call."""

    kind: str
    key: str
    began: float
    took_s: float
    region: str
    """Who answered; empty: nobody."""
    error: str
    ambiguous: bool


class Region:
    """A moto server in a process of its own."""

    def __init__(self, bucket: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1"]
        self._process = subprocess.Popen(
            [*command, "-p", str(self.port)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.url = f"http://127.0.0.1:{self.port}"
        self._wait()
        self.s3 = self.client(self.url)
        self._bucket = bucket
        self.s3.create_bucket(Bucket=bucket)
        self.s3.put_object(Bucket=bucket, Key="read", Body=b"x" * 1000)

    def _wait(self) -> None:
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        msg = "moto did not start"
        raise RuntimeError(msg)

    @staticmethod
    def client(url: str):
        """A bare client."""
        return boto3.Session("key", "secret", region_name=HOME).client(
            "s3", endpoint_url=url
        )

    def keys(self) -> set[str]:
        """All objects but the one that is read."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket)
        found = (one["Key"] for page in pages for one in page.get("Contents", ()))
        return {key for key in found if key != "read"}

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


class Proxy:
    """A TCP relay that can be dead, on a thread of its own."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._goes = asyncio.Event()
        self._goes.set()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._server = self._do(self._listen(0))
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self, port: int):
        return await asyncio.start_server(self._relay, "127.0.0.1", port)

    async def _relay(self, reader, writer) -> None:
        there = None
        self._writers.add(writer)
        try:
            from_there, there = await asyncio.open_connection("127.0.0.1", self._to)
            self._writers.add(there)
            await asyncio.gather(
                self._copy(reader, there), self._copy(from_there, writer)
            )
        except OSError:
            pass
        finally:
            for one in (writer, there):
                if one is not None:
                    self._writers.discard(one)
                    one.close()

    async def _copy(self, reader, writer) -> None:
        while data := await reader.read(65536):
            await self._goes.wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    def die(self, how: str) -> None:
        """Refuse and reset, or hang."""
        if how == "hang":
            self._loop.call_soon_threadsafe(self._goes.clear)
        else:
            self._do(self._reset())

    async def _reset(self) -> None:
        self._server.close()
        for writer in [*self._writers]:
            writer.transport.abort()

    def revive(self) -> None:
        """Serve again. What a hanging region swallowed never reached it."""
        if not self._goes.is_set():
            self._do(self._drop())
        else:
            self._server = self._do(self._listen(self.port))

    async def _drop(self) -> None:
        for writer in [*self._writers]:
            writer.transport.abort()
        await asyncio.sleep(0)
        self._goes.set()


def policy(url: str, phases: Phases) -> dict:
    """The policy under test: one line of failover for reads, one for a write."""
    attempt = f"{phases.attempt:g}s"
    times = {"timeout": f"{phases.deadline:g}s", "attempt_timeout": attempt}
    places = [
        {"region": AWAY, "endpoint_url": url, "rename": {"Bucket": {BUCKET: THERE}}}
    ]
    return {
        "version": 1,
        "edition": "2026.11",
        "name": "failover",
        "aws": {
            "all": {
                **times,
                "retry": {"max_attempts": 2},
                "breaker": {
                    "window": "2s",
                    "min_calls": 5,
                    "failure_ratio": 0.3,
                    "open_for": "500ms",
                    "max_open_for": "2s",
                    "probes": 2,
                },
            },
            "operations": {
                "s3.*": {"failover": places},
                # An answer with a body asks to last: wider rules do not cut it short.
                "s3.GetObject": times,
                "s3.PutObject": {"failover": places},
            },
        },
    }


class Load:
    """Calls at a steady rate, from some threads."""

    def __init__(self, s3, rate: float, seed: int) -> None:
        self._s3 = s3
        self._rate = rate
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._number = 0
        self.results: list[Result] = []

    def run(self, until: float, threads: int = 24) -> None:
        """Make calls until then."""
        self._began = time.monotonic()
        with ThreadPoolExecutor(threads) as pool:
            for future in [pool.submit(self._work, until) for _ in range(threads)]:
                future.result()

    def _work(self, until: float) -> None:
        while True:
            with self._lock:
                self._number += 1
                number = self._number
                is_write = self._random.random() < WRITES
            due = self._began + number / self._rate
            if due >= until:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            made = self._call("write" if is_write else "read", f"w{number}")
            with self._lock:
                self.results.append(made)

    def _call(self, kind: str, key: str) -> Result:
        began = time.monotonic()
        region = error = ""
        ambiguous = False
        try:
            if kind == "read":
                answer = self._s3.get_object(Bucket=BUCKET, Key="read")
                answer["Body"].read()
            else:
                answer = self._s3.put_object(Bucket=BUCKET, Key=key, Body=key.encode())
            found = answer["ResponseMetadata"].get("ResilienceFailover")
            region = HOME if found is None else found["region"]
        except (BotoCoreError, ClientError) as raised:
            error = f"{type(raised).__name__}: {raised}"[:200]
            report = resilience.report(raised)
            ambiguous = report is not None and report.ambiguous
        took_s = time.monotonic() - began
        return Result(kind, key, began, took_s, region, error, ambiguous)


def judge(results, how, moments, homes, aways, *, deadline_s) -> tuple[dict, list[str]]:
    """Figures, and what they violate."""
    died, revived = moments
    answered = [r for r in results if r.region and r.took_s <= deadline_s + SLACK_S]
    counted = results if how == "refuse" else [r for r in results if r.kind == "read"]
    good = [r for r in counted if r in set(answered)]
    share = len(good) / len(counted)
    last = max((r.began for r in results if r.region == AWAY), default=died)
    back_s = max(0.0, last - revived)
    written = [r for r in results if r.kind == "write"]
    acknowledged = {r.key for r in written if r.region}
    lost = {
        r.key
        for r in written
        if r.region and r.key not in (homes if r.region == HOME else aways)
    }
    hidden = {
        r.key
        for r in written
        if not r.region and not r.ambiguous and r.key in homes | aways
    }
    during = [r for r in results if died <= r.began < revived]
    late = sorted(r.took_s for r in results)
    figures = {
        "how": how,
        "calls": len(results),
        "calls while dead": len(during),
        "answered": f"{share:.5f} of {len(counted)}",
        "not answered": len(counted) - len(good),
        "answered by region two": sum(r.region == AWAY for r in results),
        "writes answered": f"{len(acknowledged)} of {len(written)}",
        "writes said to be ambiguous": sum(r.ambiguous for r in written),
        "writes in both": len(homes & aways),
        "writes lost": len(lost),
        "writes there though said not to be": len(hidden),
        "back after s": round(back_s, 2),
        "slowest call s": round(late[-1], 3),
        "median call s": round(late[len(late) // 2], 4),
    }
    violations = []
    if share < SHARE:
        violations.append(f"answered {share:.5f} < {SHARE}")
    if back_s > BACK_S:
        violations.append(f"back in region one after {back_s:.1f} s > {BACK_S} s")
    if max((r.began for r in results if r.region == HOME), default=0.0) < last:
        violations.append("never back in region one")
    never = ("writes in both", "writes lost", "writes there though said not to be")
    violations += [f"{name}: {figures[name]}" for name in never if figures[name]]
    if not any(r.region == AWAY for r in during):
        violations.append("nobody failed over")
    return figures, violations


def run(how: str, phases: Phases, rate: float, seed: int) -> tuple[dict, list[str]]:
    """One region dies and comes back."""
    one, two = Region(BUCKET), Region(THERE)
    proxy = Proxy(one.port)
    engine = resilience.PolicyEngine.from_dict(policy(two.url, phases))
    session = boto3.Session("key", "secret", region_name=HOME)
    resilience.botocore.register(session, engine)
    config = Config(max_pool_connections=50, s3={"addressing_style": "path"})
    s3 = session.client("s3", endpoint_url=proxy.url, config=config)
    load = Load(s3, rate, seed)
    died = time.monotonic() + phases.before
    revived = died + phases.dead

    def act() -> None:
        time.sleep(died - time.monotonic())
        proxy.die(how)
        time.sleep(max(0.0, revived - time.monotonic()))
        proxy.revive()

    actor = threading.Thread(target=act)
    actor.start()
    try:
        load.run(revived + phases.after)
        actor.join()
        figures, violations = judge(
            load.results,
            how,
            (died, revived),
            one.keys(),
            two.keys(),
            deadline_s=phases.deadline,
        )
    finally:
        one.close()
        two.close()
        engine.close()
    errors = [r for r in load.results if not r.region]
    for result in errors[:5]:
        print(f"  {result.began - died:+.2f}s {result.kind}: {result.error}")
    return figures, violations


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--how", choices=["refuse", "hang"], action="append")
    parser.add_argument("--rate", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    failed = False
    for how in given.how or ["refuse", "hang"]:
        phases = SHORT if given.short else FULL
        figures, violations = run(how, phases, given.rate, given.seed)
        print(json.dumps(figures, indent=2))
        for violation in violations:
            print(f"VIOLATION: {violation}")
        failed |= bool(violations)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
