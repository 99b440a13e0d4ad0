"""Two regions in tests of failover: what calls and answers are, and what is held."""

from resilience.botocore.failover import MARK
from resilience.core.target import Target


AT = {"Bucket": "orders", "Key": "1"}
THERE = (200, {"x-amz-request-id": "there"}, b"")
ONE = {"max_attempts": 1}
INTERNAL = (500, {}, b"<Error><Code>InternalError</Code></Error>")
SLOW_DOWN = (503, {}, b"<Error><Code>SlowDown</Code></Error>")


def shut(s3, operation="HeadObject"):
    """Hold the breaker of the first region open."""
    engine = engine_of(s3)
    engine.bind(s3_target(operation))
    engine.breaker("aws:service=s3,region=us-east-1").force_open()


def engine_of(s3):
    return type(s3)._resilience_registration.engine


def s3_target(operation):
    labels = (("region", "us-east-1"),)
    return Target(
        protocol="aws", name="s3", service="s3", method=operation, labels=labels
    )


def marked(answer):
    return answer["ResponseMetadata"].get(MARK)
