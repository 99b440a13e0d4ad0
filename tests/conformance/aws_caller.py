"""The process that makes the writes of `aws_rounds.py`; it is killed now and then.

Its parent is a fork server that has made the clients already, so that a new caller is
there at once. Environment: `ROUNDS_URL`.
"""

import contextlib
import os

import boto3
from botocore.config import Config

import resilience
import resilience.botocore


POLICY = """
version: 1
name: rounds
aws:
  all:
    attempt_timeout: 400ms
    breaker: off
    retry_budget: off
    retry: {max_attempts: 4, initial_backoff: 1ms, max_backoff: 4ms}
  operations:
    s3.*: {idempotency: keyed}
    dynamodb.PutItem: {idempotency: keyed}
    dynamodb.UpdateItem: {idempotency: keyed}
    sqs.*: {idempotency: keyed}
"""
BUCKET, TABLE = "orders", "items"


def make_clients(url, *, protected):
    """S3, DynamoDB and SQS clients."""
    session = boto3.Session("key", "secret", region_name="us-east-1")
    if protected:
        engine = resilience.PolicyEngine.from_text(POLICY)
        resilience.botocore.register(session, engine)
    config = Config(s3={"addressing_style": "path"})
    return {
        name: session.client(name, endpoint_url=url, config=config)
        for name in ("s3", "dynamodb", "sqs")
    }


def write(clients, kind, name, extra):
    """Make the one write of a round."""
    s3, dynamodb, sqs = clients["s3"], clients["dynamodb"], clients["sqs"]
    at = {"Bucket": BUCKET, "Key": name}
    body = name.encode()
    match kind:
        case "create object":
            return s3.put_object(**at, Body=body, IfNoneMatch="*")
        case "replace object":
            return s3.put_object(**at, Body=body, IfMatch=extra)
        case "put object":
            return s3.put_object(**at, Body=body)
        case "delete object":
            return s3.delete_object(**at)
        case "create item":
            return dynamodb.put_item(
                TableName=TABLE,
                Item={"k": {"S": name}},
                ConditionExpression="attribute_not_exists(k)",
            )
        case "put item":
            return dynamodb.put_item(TableName=TABLE, Item={"k": {"S": name}})
        case "add to item":
            return dynamodb.update_item(
                TableName=TABLE,
                Key={"k": {"S": name}},
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            )
        case "send to fifo":
            more = {"MessageGroupId": name}
            return sqs.send_message(QueueUrl=extra, MessageBody=name, **more)
        case "send":
            return sqs.send_message(QueueUrl=extra, MessageBody=name)
    raise ValueError(kind)


URL = os.environ.get("ROUNDS_URL")
CLIENTS = make_clients(URL, protected=True) if URL else {}


def serve(connection):
    """Make the writes that come over *connection*, until it closes."""
    with contextlib.suppress(EOFError):
        while True:
            kind, name, key, extra = connection.recv()
            scope = resilience.idempotency_key(key) if key else contextlib.nullcontext()
            try:
                with scope:
                    answer = write(CLIENTS, kind, name, extra)
            except Exception as error:  # noqa: BLE001 - any exception is a result here
                connection.send(failed(error))
            else:
                connection.send(done(answer))


def failed(error):
    """What is told of a write that raised *error*."""
    report = resilience.report(error)
    ambiguous = report is not None and report.ambiguous
    return "error", ambiguous, f"{error!r} {report}"


def done(answer):
    """What is told of a write that succeeded with *answer*."""
    shown = {k: answer.get(k) for k in ("ETag", "VersionId", "MessageId")}
    return "ok", False, shown
