"""Client-side resilience for gRPC and AWS calls, driven by one policy engine.

Load a policy, wrap a channel or register on a session, and call as before:
`PolicyEngine`, `resilience.grpc`, `resilience.botocore`. Importing this package
imports neither grpc nor botocore.
"""

from resilience.context import criticality, deadline, detached, idempotency_key
from resilience.engine import PolicyEngine
from resilience.errors import PolicyError, Problem, Rejected, ResilienceError
from resilience.propagation import propagate
from resilience.report import Report, report


__all__ = [
    "PolicyEngine",
    "PolicyError",
    "Problem",
    "Rejected",
    "Report",
    "ResilienceError",
    "criticality",
    "deadline",
    "detached",
    "idempotency_key",
    "propagate",
    "report",
]
