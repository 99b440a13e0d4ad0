"""Never worse than without us: the same wire, results and exceptions as bare.

    python first_law.py [--calls 1000] [--short]

Under `PolicyEngine()` against healthy servers (a 6 s SQS long poll, a 20 s upload, a
30 s server stream, a 30 s Lambda call, a 30 s unary call, and many calls of each demo
operation), and in observe and bypass against failing ones. Exit code 1 on a difference.
"""

import argparse
import asyncio
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import grpc
import grpc.aio
from botocore.config import Config
from recorders import RecordingGrpc, RecordingHttp

import resilience
import resilience.botocore
import resilience.grpc
import resilience.grpc.aio


MODES = ("legacy", "standard", "adaptive")
CREDENTIALS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
BODY = b"x" * 2_000_000


def clients(url, engine, retry_mode):
    """S3, DynamoDB, SQS and Lambda clients of one session."""
    session = boto3.Session(region_name="us-east-1", **CREDENTIALS)
    if engine is not None:
        resilience.botocore.register(session, engine)
    config = Config(
        retries={"mode": retry_mode},
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",
    )
    names = ("s3", "dynamodb", "sqs", "lambda")
    return {n: session.client(n, endpoint_url=url, config=config) for n in names}


def outcome(fn, *args, **kwargs):
    """What a caller sees: a value, or the type and text of an exception."""
    try:
        value = fn(*args, **kwargs)
    except Exception as error:  # noqa: BLE001 - any exception is a result here
        if isinstance(error, grpc.RpcError):
            return error.code(), error.details()
        return type(error).__name__, str(error)
    if isinstance(value, dict):
        body = value.pop("Body", None) or value.pop("Payload", None)
        metadata = value.get("ResponseMetadata", {})
        metadata.get("HTTPHeaders", {}).pop("date", None)
        return value, body.read() if body is not None else None
    return value


def aws_calls(made, calls):
    """The demo's operations, one after the other."""
    s3, dynamodb = made["s3"], made["dynamodb"]
    key = {"id": {"S": "1"}}
    results = []
    for n in range(calls):
        at = {"Bucket": "orders", "Key": str(n)}
        results += [
            outcome(s3.put_object, **at, Body=b"two shirts"),
            outcome(s3.get_object, **at),
            outcome(dynamodb.get_item, TableName="t", Key=key),
            outcome(dynamodb.put_item, TableName="t", Item=key),
            outcome(
                dynamodb.update_item,
                TableName="t",
                Key=key,
                UpdateExpression="ADD n :one",
                ExpressionAttributeValues={":one": {"N": "1"}},
            ),
        ]
    results.append(outcome(s3.get_object, Bucket="orders", Key="missing"))
    return results


def aws_long(made):
    """Calls that ask to last, side by side."""
    with ThreadPoolExecutor(3) as pool:
        futures = [
            pool.submit(
                outcome,
                made["sqs"].receive_message,
                QueueUrl=f"{made['sqs'].meta.endpoint_url}/1/q",
                WaitTimeSeconds=6,
            ),
            pool.submit(
                outcome,
                made["s3"].put_object,
                Bucket="orders",
                Key="big",
                Body=BODY,
                Metadata={"slow": "20"},
            ),
            pool.submit(outcome, made["lambda"].invoke, FunctionName="f"),
        ]
        return [future.result() for future in futures]


def grpc_calls(channel, calls):
    """Every demo method, by each way to call it."""
    results = []
    for name in ("GetCart", "AddItem", "Charge", "Missing"):
        method = channel.unary_unary(f"/shop.Cart/{name}")
        many = 1 if name == "Missing" else calls
        given = {"metadata": (("a", "1"), ("a", "2"))}
        results += [outcome(method, b"%d" % n) for n in range(many)]
        results.append(outcome(method, b"t", timeout=5, **given))
        results.append(outcome(by_future, method, given))
        results.append(outcome(with_trailers, method))
    return results


def by_future(method, given):
    """The response by way of a future."""
    return method.future(b"f", **given).result()


def with_trailers(method):
    """A response with the trailing metadata that came with it."""
    response, call = method.with_call(b"w", timeout=5)
    return response, tuple(call.trailing_metadata()), call.code()


def grpc_long(channel):
    """A 30 s stream beside a 30 s unary call."""
    slow = channel.unary_unary("/shop.Cart/Slow").future(b"s")
    watch = outcome(lambda: list(channel.unary_stream("/shop.Cart/Watch")(b"w")))
    return [watch, outcome(slow.result)]


async def aio_calls(channel, calls):
    """The same from asyncio."""
    results = []
    for name in ("GetCart", "AddItem", "Charge", "Missing"):
        method = channel.unary_unary(f"/shop.Cart/{name}")
        for n in range(1 if name == "Missing" else calls):
            try:
                results.append(await method(b"%d" % n))
            except grpc.aio.AioRpcError as error:
                results.append((type(error).__name__, error.code(), error.details()))
    return results


def run_aws(engine, retry_mode, calls, *, long, **faults):
    """(wire, results) of one run against a fresh recorder."""
    server = RecordingHttp(**faults)
    try:
        made = clients(server.url, engine, retry_mode)
        results = aws_calls(made, calls)
        if long:
            results += aws_long(made)
        port = server.url.rpartition(":")[2]
        return masked(sorted_tail(server.seen), port), masked(results, port)
    finally:
        server.close()


def sorted_tail(seen):
    """The long calls run side by side: their order is chance."""
    return seen[:-3] + sorted(seen[-3:])


def masked(what, port):
    """Each run has a port of its own."""
    return repr(what).replace(port, "PORT")


def run_grpc(engine, calls, *, long, **faults):
    """(wire, results) of one run against a fresh recorder."""
    server = RecordingGrpc(**faults)
    channel = grpc.insecure_channel(server.address)
    if engine is not None:
        channel = resilience.grpc.intercept_channel(channel, engine, target="cart")
    try:
        results = grpc_calls(channel, calls)
        if long:
            results += grpc_long(channel)
        return repr(server.seen[:-2] + sorted(server.seen[-2:])), repr(results)
    finally:
        channel.close()
        server.close()


def run_aio(engine, calls, **faults):
    """(wire, results) of one asyncio run against a fresh recorder."""

    async def main():
        channel = grpc.aio.insecure_channel(server.address)
        if engine is not None:
            channel = resilience.grpc.aio.intercept_channel(
                channel, engine, target="cart"
            )
        results = await aio_calls(channel, calls)
        await channel.close()
        return results

    server = RecordingGrpc(**faults)
    try:
        results = asyncio.run(main())
        return repr(server.seen), repr(results)
    finally:
        server.close()


def compare(name, bare, ours):
    """Print one line; True when nothing differs."""
    wire, results = bare[0] == ours[0], bare[1] == ours[1]
    print(f"{'same' if wire and results else 'DIFFERENT':9s} {name}", flush=True)
    for what, one, other in (("wire", bare[0], ours[0]), ("results", bare[1], ours[1])):
        if one != other:
            at = next(
                (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
                min(len(one), len(other)),
            )
            print(f"   {what} bare: ...{one[max(0, at - 120) : at + 120]}")
            print(f"   {what} ours: ...{other[max(0, at - 120) : at + 120]}")
    return wire and results


def main():
    """Run it; exit code 1 on a difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--short", action="store_true", help="without the long calls")
    args = parser.parse_args()
    os.environ.setdefault("AWS_EC2_METADATA_DISABLED", "true")
    began = time.monotonic()
    long = not args.short
    same = [
        compare(
            "gRPC, healthy, PolicyEngine()",
            run_grpc(None, args.calls, long=long),
            run_grpc(resilience.PolicyEngine(), args.calls, long=long),
        ),
        compare(
            "gRPC asyncio, healthy, PolicyEngine()",
            run_aio(None, args.calls),
            run_aio(resilience.PolicyEngine(), args.calls),
        ),
    ]
    for n, retry_mode in enumerate(MODES):
        calls = args.calls if n == 0 else max(1, args.calls // 10)
        long_too = long and n == 0
        same.append(
            compare(
                f"AWS {retry_mode}, healthy, PolicyEngine()",
                run_aws(None, retry_mode, calls, long=long_too),
                run_aws(resilience.PolicyEngine(), retry_mode, calls, long=long_too),
            )
        )
    for mode in ("observe", "bypass"):
        text = f"version: 1\nname: law\nmode: {mode}\nall: {{timeout: 1s}}\n"
        engine = resilience.PolicyEngine.from_text(text)
        same.append(
            compare(
                f"gRPC, each third fails, {mode}",
                run_grpc(None, 30, long=False, fail_each=3),
                run_grpc(engine, 30, long=False, fail_each=3),
            )
        )
        same.append(
            compare(
                f"gRPC asyncio, each third fails, {mode}",
                run_aio(None, 30, fail_each=3),
                run_aio(engine, 30, fail_each=3),
            )
        )
        for retry_mode in MODES:
            same += [
                compare(
                    f"AWS {retry_mode}, {faults}, {mode}",
                    run_aws(None, retry_mode, 3, long=False, **faults),
                    run_aws(engine, retry_mode, 3, long=False, **faults),
                )
                for faults in ({"fail_each": 7}, {"cut_each": 9})
            ]
    print(f"{sum(same)} of {len(same)} the same, {time.monotonic() - began:.0f} s")
    return 0 if all(same) else 1


if __name__ == "__main__":
    sys.exit(main())
