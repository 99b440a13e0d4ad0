"""Writes under faults: how many were done twice, lost, or failed falsely.

    python aws_rounds.py [--rounds 1000] [--seed 1] [--asyncio]

Each round is one logical write through a proxy that plays a random row of faults
before, during and after the write, kills the caller included. Who makes a keyed write
under a key, and was killed or told `ambiguous`, makes it again with the same key. Then
the server is asked what is there.

- a duplicate: the effect is there more than once;
- lost: the caller was told of a success and the effect is not there;
- a false failure: the effect is there, and the error does not say that it may be.
  Where a write can be looked for (S3, DynamoDB) any error is one, `ambiguous` or not;
  a message to a queue cannot, so its last error may say `ambiguous`.

With `--asyncio` the callers are clients of aiobotocore, which must be installed.

Exit code 1 when there is any.
"""

import argparse
import collections
import logging
import multiprocessing
import os
import random
import signal
import sys
import time
from pathlib import Path

import moto.server


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import aws_caller

from tests.botocore.faulting import FaultingProxy


KEYED = (
    "create object",
    "replace object",
    "put object",
    "delete object",
    "create item",
    "put item",
    "send to fifo",
)
UNGUARDED = ("add to item", "send")
FAULTS = (
    "before",
    "500 before",
    "during",
    "after",
    "after",
    "500 after",
    "late",
    "kill before",
    "kill after",
)
NO_LATE = ("put object", "delete object")
"""Without a key nothing in their first attempt refuses to come after its repeat."""


def _is_open(told):
    """Was the caller killed, or told that it may have been done?"""
    return told is None or (told[0] == "error" and told[1])


class Caller:
    """The process that makes the writes; a new one when it was killed."""

    def __init__(self, context, serve):
        self._context = context
        self._serve = serve
        self._start()

    def _start(self):
        self._mine, theirs = self._context.Pipe()
        self._process = self._context.Process(
            target=self._serve, args=(theirs,), daemon=True
        )
        self._process.start()
        theirs.close()

    def kill(self):
        os.kill(self._process.pid, signal.SIGKILL)

    def call(self, kind, name, key, extra):
        """What the caller was told; None: it was killed."""
        try:
            self._mine.send((kind, name, key, extra))
            return self._mine.recv()
        except (EOFError, OSError):
            self._process.join()
            self._mine.close()
            self._start()
            return None


class Rounds:
    def __init__(self, seed, serve=aws_caller.serve):
        self._random = random.Random(seed)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = moto.server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        self._proxy = FaultingProxy((host, port))
        self._bare = aws_caller.make_clients(f"http://{host}:{port}", protected=False)
        self._prepare()
        os.environ["ROUNDS_URL"] = self._proxy.url
        # The fork server imports what it preloads by this path, not by ours.
        os.environ["PYTHONPATH"] = os.pathsep.join(sys.path)
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([serve.__module__])
        self._caller = Caller(context, serve)
        self._proxy.kill = self._caller.kill
        self.counts = collections.Counter()
        self.problems = []

    def _prepare(self):
        s3, dynamodb, sqs = (self._bare[n] for n in ("s3", "dynamodb", "sqs"))
        s3.create_bucket(Bucket=aws_caller.BUCKET)
        enabled = {"Status": "Enabled"}
        s3.put_bucket_versioning(
            Bucket=aws_caller.BUCKET, VersioningConfiguration=enabled
        )
        dynamodb.create_table(
            TableName=aws_caller.TABLE,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )
        fifo = {"FifoQueue": "true"}
        self._queues = {
            "send": sqs.create_queue(QueueName="jobs")["QueueUrl"],
            "send to fifo": sqs.create_queue(QueueName="j.fifo", Attributes=fifo)[
                "QueueUrl"
            ],
        }

    def run(self, number):
        """Play one round and judge it."""
        rng = self._random
        kind = rng.choice(KEYED + UNGUARDED)
        name = f"r{number}"
        has_key = rng.random() < 0.5
        extra = self._begin(kind, name)
        faults = self._faults(kind, has_key=has_key)
        plan = [self._delivering(fault) for fault in faults]
        self._proxy.plan, self._proxy.executed[:] = plan, []

        key = f"key-{number}" if has_key else None
        told = self._caller.call(kind, name, key, extra)
        killed = told is None
        for _ in range(9):
            if not has_key or kind in UNGUARDED or not _is_open(told):
                break
            self.counts["made again"] += 1
            told = self._caller.call(kind, name, key, extra)
            killed += told is None
        self._proxy.plan = []
        before_late = self._effects(kind, name)
        self._proxy.deliver()
        effects = self._effects(kind, name) if kind not in self._queues else before_late
        what = self._judge(kind, told, before_late, effects)
        if what:
            word = "keyed" if kind in KEYED else "unguarded"
            self.counts[f"{word}: {what}"] += 1
            self.problems.append((what, kind, name, faults, effects, told))
        self.counts[kind] += 1
        self.counts["killed"] += killed
        self.counts["faults"] += len(faults) - faults.count("")
        self.counts[f"told {told[0] if told else 'nothing'}"] += 1

    def _faults(self, kind, *, has_key):
        rng = self._random
        comes_late = kind not in UNGUARDED and (has_key or kind not in NO_LATE)
        allowed = [fault for fault in FAULTS if fault != "late" or comes_late]
        count = rng.choices((0, 1, 2, 3, 5), (1, 4, 3, 2, 1))[0]
        chosen = [rng.choice(allowed) for _ in range(count)]
        if rng.random() < 0.03:
            chosen.append("hang")
        return chosen

    def _delivering(self, fault):
        """*fault*, after what was late has come or before: as chance has it."""
        if self._random.random() < 0.5:
            return fault

        def arrive():
            self._proxy.deliver()
            return fault

        return arrive

    def _begin(self, kind, name):
        if kind in ("replace object", "delete object"):
            found = self._bare["s3"].put_object(
                Bucket=aws_caller.BUCKET, Key=name, Body=b"old"
            )
            return found["ETag"]
        return self._queues.get(kind)

    def _effects(self, kind, name):
        """How often the write of this round was done."""
        if kind in self._queues:
            return self._received(kind, name)
        if kind.endswith("item"):
            key = {"k": {"S": name}}
            found = self._bare["dynamodb"].get_item(
                TableName=aws_caller.TABLE, Key=key, ConsistentRead=True
            )
            if kind == "add to item":
                return int(found.get("Item", {}).get("n", {"N": "0"})["N"])
            # A second write of the same item would not show: each one that was
            # executed counts.
            return sum(
                command == "POST" and status == 200 and target == "PutItem"
                for command, _, status, target in self._proxy.executed
            )
        found = self._bare["s3"].list_object_versions(
            Bucket=aws_caller.BUCKET, Prefix=name
        )
        versions = [v for v in found.get("Versions", ()) if v["Key"] == name]
        markers = [v for v in found.get("DeleteMarkers", ()) if v["Key"] == name]
        if kind == "delete object":
            return len(markers)
        return len(versions) - (kind == "replace object")

    def _received(self, kind, name):
        """Take everything out of the queue and count this round's messages."""
        sqs, url, count = self._bare["sqs"], self._queues[kind], 0
        while True:
            found = sqs.receive_message(
                QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0
            ).get("Messages", ())
            if not found:
                return count
            for message in found:
                count += message["Body"] == name
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _judge(self, kind, told, before_late, effects):
        """What is wrong, in words; None: nothing."""
        if effects > 1:
            return "duplicate"
        if told is None:
            return None
        if told[0] == "ok":
            return None if effects else "lost"
        can_be_looked_for = kind in KEYED and kind not in self._queues
        if before_late and (can_be_looked_for or not told[1]):
            return "false failure"
        self.counts["honest"] += bool(before_late)
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--asyncio", action="store_true")
    given = parser.parse_args()
    serve = aws_caller.serve
    if given.asyncio:
        import aws_caller_aio

        serve = aws_caller_aio.serve
    rounds = Rounds(given.seed, serve)
    began = time.monotonic()
    for number in range(given.rounds):
        rounds.run(number)
    elapsed = time.monotonic() - began
    counts = rounds.counts
    for problem in rounds.problems[:20]:
        print("PROBLEM", *problem)
    print(
        f"{given.rounds} rounds, seed {given.seed}, in {elapsed:.0f} s: "
        f"{counts['faults']} faults planned, {counts['killed']} callers killed, "
        f"{counts['made again']} writes made again; in the end "
        f"{counts['told ok']} told ok, {counts['told error']} told an error "
        f"({counts['honest']} ambiguous and done), {counts['told nothing']} nothing"
    )
    for word, kinds in (("keyed", KEYED), ("unguarded", UNGUARDED)):
        total = sum(counts[kind] for kind in kinds)
        found = [
            f"{counts[f'{word}: {what}']} {what}"
            for what in ("duplicate", "lost", "false failure")
        ]
        print(f"{word}: {total} writes: {', '.join(found)}")
    sys.exit(1 if rounds.problems else 0)


if __name__ == "__main__":
    main()
