"""What is called through Envoy, who calls it, and what a policy predicts of it.

Ten kinds of turns make one round of the traffic; each is one call. Every writer has a
name of its own for what it writes, so what was done twice can be counted.
"""

import math
import random
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import boto3
import tenacity
from aws_envoy_site import Shares
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import resilience
import resilience.botocore
from resilience.core.policy import CallPolicy
from tests.botocore import swift


BUCKET, TABLE, QUEUE = "orders", "items", "jobs.fifo"
TURNS = (
    "create object",
    "get item",
    "put item",
    "get object",
    "send",
    "create object",
    "get item",
    "put object",
    "get object",
    "put item",
)
ONLY_S3 = ("create object", "get object", "put object", "get object")
WRITES = frozenset({"create object", "put object", "put item", "send"})
SERVICES = ("s3", "dynamodb", "sqs")
THREADS = 12
ATTEMPT_S = 2.0
"""Read timeout of those who have no policy: the attempt timeout of ours."""
OLD = b"x" * 1024


class Told(NamedTuple):
    """How one call ended for its caller."""

    turn: str
    name: str
    ok: bool
    elapsed_s: float
    error: str
    ambiguous: bool


Calls = Callable[[dict[str, object], str, str], object]


class Peer(NamedTuple):
    """One way to call."""

    name: str
    retries: dict[str, object] | None = None
    """botocore's own; None: there is an engine."""
    engine: resilience.PolicyEngine | None = None
    around: Callable[[Callable[[], object]], object] | None = None
    """What a caller puts around each call."""


def make_clients(
    url: str, peer: Peer | None = None, *, on_swift: bool = False
) -> dict[str, object]:
    """The clients of *peer*; None: those that prepare and look."""
    keys = (swift.ACCESS, swift.SECRET) if on_swift else ("key", "secret")
    session = boto3.Session(*keys, region_name="us-east-1")
    more: dict[str, object] = {}
    if peer is not None and peer.engine is not None:
        resilience.botocore.register(session, peer.engine)
    elif peer is not None:
        more = {"retries": peer.retries, "read_timeout": ATTEMPT_S}
    if on_swift:
        more |= {
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
    config = Config(
        s3={"addressing_style": "path"}, max_pool_connections=THREADS, **more
    )
    return {
        name: session.client(name, endpoint_url=url, config=config) for name in SERVICES
    }


def prepare(clients, *, on_swift: bool = False) -> str:
    """Make the bucket (versioned), the table and the queue; returns the queue's URL."""
    clients["s3"].create_bucket(Bucket=BUCKET)
    if on_swift:
        clients["s3"].put_object(Bucket=BUCKET, Key="old", Body=OLD)
        return ""
    clients["s3"].put_bucket_versioning(
        Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"}
    )
    clients["s3"].put_object(Bucket=BUCKET, Key="old", Body=OLD)
    clients["dynamodb"].create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    clients["dynamodb"].put_item(TableName=TABLE, Item={"k": {"S": "old"}})
    fifo = {"FifoQueue": "true"}
    made = clients["sqs"].create_queue(QueueName=QUEUE, Attributes=fifo)
    return str(made["QueueUrl"])


def call(clients, turn: str, name: str, queue: str, *, is_ours: bool) -> object:
    """Make one call; what it wrote or read is named *name*."""
    match turn:
        case "create object":
            return clients["s3"].put_object(
                Bucket=BUCKET, Key=name, Body=OLD, IfNoneMatch="*"
            )
        case "put object":
            return clients["s3"].put_object(Bucket=BUCKET, Key=name, Body=OLD)
        case "get object":
            body = clients["s3"].get_object(Bucket=BUCKET, Key="old")["Body"].read()
            if body != OLD:
                msg = f"{len(body)} bytes came"
                raise AssertionError(msg)
            return body
        case "put item":
            return clients["dynamodb"].put_item(
                TableName=TABLE,
                Item={"k": {"S": name}},
                ConditionExpression="attribute_not_exists(k)",
            )
        case "get item":
            return clients["dynamodb"].get_item(
                TableName=TABLE, Key={"k": {"S": "old"}}
            )
        case "send":
            # Who has no policy chooses the id himself, as a careful caller does.
            own = {} if is_ours else {"MessageDeduplicationId": uuid.uuid4().hex}
            return clients["sqs"].send_message(
                QueueUrl=queue, MessageBody=name, MessageGroupId=name, **own
            )
    raise ValueError(turn)


def run(
    peer: Peer, url: str, queue: str, calls: int, *, on_swift: bool = False
) -> tuple[list[Told], float]:
    """Make *calls* calls on `THREADS` threads; how each ended, and the seconds."""
    clients = make_clients(url, peer, on_swift=on_swift)
    turns = ONLY_S3 if on_swift else TURNS
    is_ours = peer.engine is not None

    def one(number: int) -> Told:
        turn, name = turns[number % len(turns)], f"{peer.name} {number}"
        began = time.monotonic()
        error, ambiguous = "", False

        def act() -> object:
            return call(clients, turn, name, queue, is_ours=is_ours)

        try:
            act() if peer.around is None else peer.around(act)
        except (BotoCoreError, ClientError, AssertionError) as failed:
            report = resilience.report(failed)
            error = f"{failed} [{report}]" if report else str(failed)
            ambiguous = report is not None and report.ambiguous
        took = time.monotonic() - began
        return Told(turn, name, not error, took, error, ambiguous)

    began = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        told = list(pool.map(one, range(calls)))
    took = time.monotonic() - began
    for client in clients.values():
        client.close()
    return told, took


def _is_worth_it(error: BaseException) -> bool:
    """What a careful user of tenacity repeats: no answer, and any 5xx."""
    if isinstance(error, ClientError):
        return error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500
    return isinstance(error, BotoCoreError)


def tenacious(policy: CallPolicy) -> Callable[[Callable[[], object]], object]:
    """Put tenacity around each call, with the attempts and waits of *policy*."""
    retry = policy.retry
    rng = random.Random(1)
    lock = threading.Lock()

    def wait(state: tenacity.RetryCallState) -> float:
        backoff = retry.backoff
        most = min(backoff.max_s, backoff.initial_s * 2 ** (state.attempt_number - 1))
        with lock:
            return rng.random() * most

    def around(act: Callable[[], object]) -> object:
        return tenacity.Retrying(
            stop=tenacity.stop_after_attempt(retry.max_attempts),
            wait=wait,
            retry=tenacity.retry_if_exception(_is_worth_it),
            reraise=True,
        )(act)

    return around


def peers(engine: resilience.PolicyEngine, words) -> list[Peer]:
    """Those whom *words* name, ours first."""
    policy = policy_of(engine, "dynamodb", "GetItem")
    known = {
        "standard": Peer("standard", {"mode": "standard"}),
        "legacy": Peer("legacy", {"mode": "legacy"}),
        "tenacity": Peer(
            "tenacity",
            {"mode": "standard", "total_max_attempts": 1},
            around=tenacious(policy),
        ),
    }
    return [Peer("resilience", engine=engine), *(known[word] for word in words)]


# -- what the policy predicts ----------------------------------------------------


def policy_of(
    engine: resilience.PolicyEngine, service: str, operation: str
) -> CallPolicy:
    """What holds for one operation."""
    return engine.table.policy_for("aws", service, service, operation)


def attempts(failing: float, most: int) -> float:
    """Attempts of a call, in the mean, each failing with probability *failing*."""
    return (1 - failing**most) / (1 - failing)


def predicted(engine: resilience.PolicyEngine, shares: Shares) -> dict[str, float]:
    """Requests for each kind of turn, in the mean, that the policy lets us make.

    A write that is found costs a look (HeadObject), a call of its own: for one with
    `IfNoneMatch` when its first execution was lost (the repeat is then refused, and
    looked behind); for one without a condition after each attempt that failed, and it
    ends as soon as one was executed. A refused PutItem brings its item along.

    Raises:
        ValueError: the retry budget would bite, so attempts are no longer its own.
    """
    p, lost = shares.failing, shares.lost
    found = {}
    for turn, (service, operation) in OPERATIONS.items():
        policy = policy_of(engine, service, operation)
        most, budget = policy.retry.max_attempts, policy.retry_budget
        mean = attempts(p, most)
        if budget is not None and (budget.kind != "ratio" or budget.ratio < mean - 1):
            msg = f"{service}.{operation}: its budget does not let {mean - 1:.2f} pass"
            raise ValueError(msg)
        found[turn] = mean
    look = attempts(p, policy_of(engine, "s3", "HeadObject").retry.max_attempts)
    answered = 1 - p
    found["create object"] += lost / (answered + lost) * look
    policy = policy_of(engine, "s3", "PutObject")
    puts = attempts(shares.unexecuted, policy.retry.max_attempts)
    found["put object"] = puts * (1 + p * look)
    return found


OPERATIONS = {
    "create object": ("s3", "PutObject"),
    "put object": ("s3", "PutObject"),
    "get object": ("s3", "GetObject"),
    "put item": ("dynamodb", "PutItem"),
    "get item": ("dynamodb", "GetItem"),
    "send": ("sqs", "SendMessage"),
}


def amplification(
    engine: resilience.PolicyEngine, shares: Shares, *, on_swift: bool = False
) -> float:
    """Requests per call that the policy predicts for the whole traffic."""
    each = predicted(engine, shares)
    turns = ONLY_S3 if on_swift else TURNS
    return sum(each[turn] for turn in turns) / len(turns)


def deviation(shares: Shares, calls: int) -> float:
    """Standard deviation of the measured figure, as a share of it.

    That of the mean of *calls* geometric numbers; looks add a little.
    """
    return math.sqrt(shares.failing) * 1.1 / math.sqrt(calls)


# -- what is there ---------------------------------------------------------------


def there(clients, queue: str) -> Counter[str]:
    """What was written -> how often, in bucket and queue; once for items.

    Swift's bucket keeps no versions: there, too, once.
    """
    if not queue:
        pages = clients["s3"].get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return Counter(one["Key"] for page in pages for one in page.get("Contents", ()))
    pages = clients["s3"].get_paginator("list_object_versions").paginate(Bucket=BUCKET)
    found = Counter(one["Key"] for page in pages for one in page.get("Versions", ()))
    pages = clients["dynamodb"].get_paginator("scan").paginate(TableName=TABLE)
    found.update(item["k"]["S"] for page in pages for item in page["Items"])
    found.update(_received(clients["sqs"], queue))
    return found


def _received(sqs, queue: str) -> Generator[str]:
    """Take everything out of the queue."""
    ten = {"MaxNumberOfMessages": 10, "WaitTimeSeconds": 0}
    while messages := sqs.receive_message(QueueUrl=queue, **ten).get("Messages"):
        handles = [
            {"Id": str(at), "ReceiptHandle": message["ReceiptHandle"]}
            for at, message in enumerate(messages)
        ]
        sqs.delete_message_batch(QueueUrl=queue, Entries=handles)
        yield from (message["Body"] for message in messages)
