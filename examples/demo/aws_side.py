"""The AWS half: S3 and DynamoDB behind a proxy that fails, and three clients.

The calling code is the same for all. State is read from the endpoint itself, around
the proxy; attempts are what the proxy received.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from examples.servers.cloud import REGION, Cloud, client_arguments
from examples.servers.supervisor import Server
from examples.traffic import Incident, Job, Progress, Sample, errors, run_threads, tally

from . import plan


POLICY = Path(__file__).parents[1] / "policies" / "demo-aws.yaml"
BUCKET, TABLE = "orders", "orders"
SEEDED = "seeded"
"""Key of the object and of the item that reads read."""
OUTAGE_S = 1.0

Clients = tuple[Any, Any]
"""S3 and DynamoDB."""


def open_clients(way: plan.Way, server: Server) -> Clients:
    """Clients of one way that speak to *server*; their defaults where bare."""
    session = boto3.Session()
    config = Config(s3={"addressing_style": "path"})
    if way == "platform":
        retries = {"mode": "standard"}
        careful = Config(retries=retries, connect_timeout=1, read_timeout=1)
        config = config.merge(careful)
    if way == "resilience":
        import resilience.botocore
        from resilience import PolicyEngine

        engine = PolicyEngine.from_yaml(str(POLICY))
        resilience.botocore.register(session, engine)
    given = {**client_arguments(server), "config": config}
    return session.client("s3", **given), session.client("dynamodb", **given)


def prepare(cloud: Cloud) -> None:
    """An empty endpoint with one bucket, one table, and something to read."""
    cloud.reset()
    s3, dynamodb = open_clients("bare", cloud.endpoint)
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration=where)
    dynamodb.create_table(
        TableName=TABLE,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    s3.put_object(Bucket=BUCKET, Key=SEEDED, Body=_body(SEEDED))
    dynamodb.put_item(TableName=TABLE, Item={"id": {"S": SEEDED}})


def caller(clients: Clients) -> Callable[[Job], None]:
    """A function that makes one job's call and checks what came back."""
    s3, dynamodb = clients

    def get_object(intent: str) -> None:
        content = s3.get_object(Bucket=BUCKET, Key=SEEDED)["Body"].read()
        if content != _body(SEEDED):
            msg = f"wrong content for {intent}: {content[:50]!r}"
            raise RuntimeError(msg)

    def get_item(intent: str) -> None:
        reply = dynamodb.get_item(TableName=TABLE, Key={"id": {"S": SEEDED}})
        if "Item" not in reply:
            msg = f"no item for {intent}"
            raise RuntimeError(msg)

    def put_object(intent: str) -> None:
        s3.put_object(Bucket=BUCKET, Key=intent, Body=_body(intent))

    def put_item(intent: str) -> None:
        dynamodb.put_item(TableName=TABLE, Item={"id": {"S": intent}})

    def update_item(intent: str) -> None:
        dynamodb.update_item(
            TableName=TABLE,
            Key={"id": {"S": f"counter-{intent}"}},
            UpdateExpression="ADD n :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    calls = {
        "s3.GetObject": get_object,
        "dynamodb.GetItem": get_item,
        "s3.PutObject": put_object,
        "dynamodb.PutItem": put_item,
        "dynamodb.UpdateItem": update_item,
    }
    return lambda job: calls[job.operation](job.intent)


def run(
    way: plan.Way, cloud: Cloud, calls: int, tick: Callable[[Progress], None]
) -> list[Sample]:
    """Calls on threads, through shares of faults and two short outages."""
    clients = open_clients(way, cloud.proxy)
    cloud.set_shares(**plan.CLOUD_FAULTS)
    seconds = calls / plan.AWS_PER_SECOND

    def outage(fault: str) -> None:
        cloud.set_outage(fault)
        time.sleep(OUTAGE_S)
        cloud.set_outage("")

    samples = run_threads(
        plan.aws_jobs(calls),
        caller(clients),
        threads=plan.AWS_THREADS,
        per_second=plan.AWS_PER_SECOND,
        incidents=(
            Incident(at_s=0.3 * seconds, action=lambda: outage("error")),
            Incident(at_s=0.7 * seconds, action=lambda: outage("drop")),
        ),
        tick=tick,
    )
    for client in clients:
        client.close()
    cloud.settle()
    return samples


def rows(way: plan.Way, samples: Sequence[Sample], cloud: Cloud) -> list[plan.Row]:
    """One row for each kind of call, with what proxy and endpoint say."""
    counts = cloud.counts()
    duplicates = _duplicates(cloud)
    lines = []
    for kind in plan.KINDS:
        operations = [name for name, its in plan.AWS_KINDS.items() if its == kind]
        mine = [sample for sample in samples if sample.job.kind == kind]
        lines.append(
            plan.Row(
                protocol="aws",
                way=way,
                kind=kind,
                tally=tally(mine, plan.AWS_DEADLINE_S),
                # Whole objects and items replace each other: the other kinds have
                # no effect that could happen twice.
                duplicates=duplicates if kind == "non-idempotent" else 0,
                attempts=sum(counts.get(f"{name} received", 0) for name in operations),
                errors=errors(mine),
            )
        )
    return lines


def missing(samples: Sequence[Sample], cloud: Cloud) -> list[str]:
    """Intents whose write was acknowledged and is not there."""
    s3, dynamodb = open_clients("bare", cloud.endpoint)
    objects = _pages(s3.get_paginator("list_objects_v2"), "Contents", Bucket=BUCKET)
    items = _pages(dynamodb.get_paginator("scan"), "Items", TableName=TABLE)
    there = {
        "s3.PutObject": {one["Key"] for one in objects},
        "dynamodb.PutItem": {one["id"]["S"] for one in items},
    }
    return [
        sample.job.intent
        for sample in samples
        if sample.job.operation in there
        and not sample.error
        and sample.job.intent not in there[sample.job.operation]
    ]


def _duplicates(cloud: Cloud) -> int:
    _, dynamodb = open_clients("bare", cloud.endpoint)
    items = _pages(dynamodb.get_paginator("scan"), "Items", TableName=TABLE)
    return sum(int(item["n"]["N"]) - 1 for item in items if "n" in item)


def _pages(paginator: Any, member: str, **given: str) -> list[dict[str, Any]]:
    return [one for page in paginator.paginate(**given) for one in page.get(member, ())]


def _body(intent: str) -> bytes:
    return f"content of {intent}".encode()
