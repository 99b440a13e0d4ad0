"""One line makes a boto3 session resilient: `python -m examples.botocore_quickstart`.

It starts moto behind a proxy that fails, writes and reads an object, and counts.
"""

import boto3
from botocore.exceptions import BotoCoreError, ClientError

import resilience
import resilience.botocore
from examples.servers.cloud import REGION, client_arguments, start_cloud
from examples.servers.supervisor import Supervisor


POLICY = """
version: 1
edition: "2026.11"
name: quickstart
aws:
  all: {timeout: 5s, attempt_timeout: 1s}
  operations:
    s3.PutObject: {idempotency: keyed, retry: {max_attempts: 6}}
    s3.GetObject: {idempotency: safe, retry: {max_attempts: 6}}
"""


def main() -> int:
    """Write and read ten objects; returns how many came back as written."""
    engine = resilience.PolicyEngine.from_text(POLICY)
    session = boto3.Session()
    resilience.botocore.register(session, engine)
    with Supervisor() as supervisor:
        cloud = start_cloud(supervisor)
        cloud.wait_ready()
        s3 = session.client("s3", **client_arguments(cloud.proxy))
        where = {"LocationConstraint": REGION}
        s3.create_bucket(Bucket="orders", CreateBucketConfiguration=where)
        cloud.set_shares(error=0.1, drop=0.1, lose=0.1)
        intact = sum(is_kept(s3, f"order-{number}") for number in range(10))
        print(f"{intact} of 10 objects intact; the proxy saw {cloud.counts()}")
        s3.close()
    engine.close()
    return intact


def is_kept(s3: object, name: str) -> bool:
    """Whether an object that is written can be read again, within two seconds."""
    body = f"content of {name}".encode()
    try:
        with resilience.deadline(2.0):
            s3.put_object(Bucket="orders", Key=name, Body=body)  # type: ignore[attr-defined]  # made at run time
            reply = s3.get_object(Bucket="orders", Key=name)  # type: ignore[attr-defined]  # made at run time
            return bool(reply["Body"].read() == body)
    except (ClientError, BotoCoreError) as error:
        print(f"{name}: {error}; history: {resilience.report(error)}")
        return False


if __name__ == "__main__":
    main()
