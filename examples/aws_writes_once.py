"""Writes to AWS that are done once: `python -m examples.aws_writes_once`.

Against moto behind a proxy that loses answers: a key that names one write, over calls
and over processes; what cannot be made safe, and how its error says so; and the audit
that lists such writes before they happen.
"""

import boto3
from botocore.exceptions import BotoCoreError, ClientError

import resilience
import resilience.botocore
from examples.servers.cloud import REGION, client_arguments, start_cloud
from examples.servers.supervisor import Supervisor
from resilience.lab.audit import audit


POLICY = """
version: 1
edition: "2026.11"
name: orders
aws:
  all:
    timeout: 10s
    attempt_timeout: 1s
    retry: {max_attempts: 8, initial_backoff: 20ms}
  operations:
    s3.PutObject: {idempotency: keyed}
    dynamodb.PutItem: {idempotency: keyed}
    # A counter: what may have been counted is not counted again.
    dynamodb.UpdateItem: {idempotency: none}
    # At least once is its contract: a duplicate beats a lost message.
    sqs.SendMessage: {idempotency: accept_duplicates}
"""
ORDERS = 10


def make_clients(arguments, engine=None):
    """S3 and DynamoDB of one session, as a process has them when it starts."""
    session = boto3.Session()
    if engine is not None:
        resilience.botocore.register(session, engine)
    return [session.client(name, **arguments) for name in ("s3", "dynamodb")]


def prepare(s3, dynamodb):
    """Make a bucket that keeps all versions, and a table."""
    where = {"LocationConstraint": REGION}
    s3.create_bucket(Bucket="orders", CreateBucketConfiguration=where)
    enabled = {"Status": "Enabled"}
    s3.put_bucket_versioning(Bucket="orders", VersioningConfiguration=enabled)
    dynamodb.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )


def store(s3, dynamodb, order, content=b"one espresso"):
    """Keep one order. Whoever begins again after a crash uses the same key."""
    with resilience.idempotency_key(order), resilience.deadline(10.0):
        s3.put_object(Bucket="orders", Key=order, Body=content)
        dynamodb.put_item(TableName="orders", Item={"id": {"S": order}})


def count(dynamodb):
    """Add one to a counter: nothing can make that safe to repeat."""
    dynamodb.update_item(
        TableName="orders",
        Key={"id": {"S": "total"}},
        UpdateExpression="ADD orders :one",
        ExpressionAttributeValues={":one": {"N": "1"}},
    )


def main() -> int:
    """Show all of it; returns how many versions there are of the orders."""
    with Supervisor() as supervisor:
        cloud = start_cloud(supervisor)
        cloud.wait_ready()
        bare = make_clients(client_arguments(cloud.endpoint))
        prepare(*bare)
        cloud.set_shares(lose=0.3)

        # Two processes store the same orders: the second one after a crash, say.
        for _ in range(2):
            with resilience.PolicyEngine.from_text(POLICY) as engine:
                clients = make_clients(client_arguments(cloud.proxy), engine)
                for number in range(ORDERS):
                    store(*clients, f"order-{number}")
        found = bare[0].list_object_versions(Bucket="orders")["Versions"]
        print(f"{ORDERS} orders stored twice, {len(found)} versions in the bucket")

        with resilience.PolicyEngine.from_text(POLICY) as engine:
            clients = make_clients(client_arguments(cloud.proxy), engine)
            show_reuse(clients)
            cloud.set_outage("lose")
            show_ambiguity(clients[1])
            cloud.set_outage("")
            show_audit(engine)
        return len(found)


def show_reuse(clients):
    """A key names one write: with other content it is refused."""
    try:
        store(*clients, "order-1", b"two espressos")
    except resilience.Rejected as error:
        print(f"refused: {error}")


def show_ambiguity(dynamodb):
    """The real error, and whether it may have been done, as data."""
    try:
        count(dynamodb)
    except (BotoCoreError, ClientError) as error:
        report = resilience.report(error)
        print(f"{type(error).__name__}: ambiguous={report.ambiguous}; {report.hint}")


def show_audit(engine):
    """The writes that nothing protects, and about which the policy says nothing."""
    for row in audit(engine.table, ("s3", "dynamodb")).unguarded[:5]:
        only = ", with a condition" if row.condition else ""
        print(f"unguarded: {row.method}{only}: {row.reason}")


if __name__ == "__main__":
    main()
