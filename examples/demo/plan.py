"""What is sent, how long a caller waits, and which faults there are.

Every number of the demo is here; the three ways share them all.
"""

from dataclasses import dataclass
from typing import Literal

from examples.traffic import Job, Tally


Way = Literal["bare", "platform", "resilience"]
WAYS: tuple[Way, ...] = ("bare", "platform", "resilience")
Protocol = Literal["grpc", "aws"]
PROTOCOLS: tuple[Protocol, ...] = ("grpc", "aws")
KINDS = ("safe", "keyed", "non-idempotent")

SEED = 12
"""Chosen so that each kind of call meets each fault; any other seed will do."""
GRPC_DEADLINE_S = 3.0
GRPC_HARNESS_LIMIT_S = 4.0
"""A bare gRPC call would wait for ever; the demo gives up on it here."""
AWS_DEADLINE_S = 4.0
GRPC_THREADS, GRPC_TASKS, GRPC_PER_SECOND = 8, 16, 60.0
AWS_THREADS, AWS_PER_SECOND = 8, 35.0

CART_FAULTS = {"stall": 0.02, "internal": 0.03, "lost": 0.04, "mute": 0.02}
CLOUD_FAULTS = {"error": 0.05, "drop": 0.03, "lose": 0.05, "stall": 0.02}
STALL_S = 5.0
"""How long the proxy holds a stalled request, seconds; the shop holds it for ever."""

GRPC_KINDS = {"GetCart": "safe", "Charge": "keyed", "AddItem": "non-idempotent"}
AWS_KINDS = {
    "s3.GetObject": "safe",
    "dynamodb.GetItem": "safe",
    "s3.PutObject": "keyed",
    "dynamodb.PutItem": "keyed",
    "dynamodb.UpdateItem": "non-idempotent",
}
AWS_CYCLE = (
    *("s3.GetObject", "dynamodb.UpdateItem", "s3.PutObject"),
    *("dynamodb.GetItem", "dynamodb.UpdateItem", "dynamodb.PutItem"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of a table."""

    protocol: Protocol
    way: Way
    kind: str
    tally: Tally
    duplicates: int
    """Effects beyond the first of one intent, counted where they happened."""
    attempts: int
    """Requests that reached the server."""
    errors: tuple[str, ...] = ()
    """What calls failed with, each text once."""

    @property
    def promise_broken(self) -> str:
        """What the library promised for such calls and did not hold; empty: nothing."""
        if self.way != "resilience":
            return ""
        found = {"late": self.tally.late, "duplicate effects": self.duplicates}
        if self.kind != "non-idempotent":
            found["failed"] = self.tally.failed
        broken = [f"{count} {what}" for what, count in found.items() if count]
        return f"{self.protocol} {self.kind}: {', '.join(broken)}" if broken else ""


def grpc_jobs(count: int, prefix: str) -> list[Job]:
    """*count* calls of the shop, the methods in turn."""
    methods = tuple(GRPC_KINDS)
    return [
        Job(
            kind=GRPC_KINDS[methods[i % 3]],
            operation=methods[i % 3],
            intent=f"{prefix}-{i}",
        )
        for i in range(count)
    ]


def aws_jobs(count: int) -> list[Job]:
    """*count* calls of S3 and DynamoDB, the operations in turn."""
    names = [AWS_CYCLE[i % len(AWS_CYCLE)] for i in range(count)]
    return [
        Job(kind=AWS_KINDS[name], operation=name, intent=f"intent-{i}")
        for i, name in enumerate(names)
    ]
