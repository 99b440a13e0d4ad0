"""What is left of calls to AWS when a third of the requests fail, and at which price?

S3, DynamoDB and SQS (moto) behind an Envoy by which 30 % of the requests end in
InternalError, a third of these after they were executed, and 5 % are delayed beyond the
attempt timeout. The same traffic, one after the other: ours under
`examples/policies/aws-envoy.yaml`, botocore's standard and legacy modes, and tenacity
around each call with our attempts and waits. `tests/conformance/aws_envoy.py` is the
full run.
"""

import sys

from tests.conformance import aws_envoy


CALLS = 1_000
PEERS = ("standard", "legacy", "tenacity")


def report(calls: int = CALLS) -> str:
    """The figures as text."""
    problems: list[str] = []
    lines = [*aws_envoy.lines(calls, words=PEERS, found=problems)]
    return "\n".join([*lines, *(f"PROBLEM {problem}" for problem in problems)])


if __name__ == "__main__":
    print(report(int(sys.argv[1]) if len(sys.argv) > 1 else CALLS))
