"""The policies that ours is compared with, each small enough to check at a glance.

They are models: what each client library decides, not how it is built. `RIVALS` names
them; `rival.py` holds what they have in common.
"""

from collections.abc import Callable

from .adaptive_throttling import AdaptiveThrottling
from .aws_standard import AwsStandard, AwsStandard2026
from .finagle import Finagle
from .grpc_throttling import GrpcThrottling
from .hedge import Hedge
from .jitter import Jitter
from .naive import Keyed, Naive
from .none import NoRetry
from .oracle import Oracle
from .reconnecting import EqualJitter, FullJitter
from .resilience4j import Resilience4j
from .rival import Rival


RIVALS: dict[str, Callable[..., Rival]] = {
    "none": NoRetry,
    "naive": Naive,
    "keyed": Keyed,
    "jitter": Jitter,
    "grpc": GrpcThrottling,
    "aws": AwsStandard,
    "aws2026": AwsStandard2026,
    "finagle": Finagle,
    "sre": AdaptiveThrottling,
    "resilience4j": Resilience4j,
    "hedge": Hedge,
    "oracle": Oracle,
    "full-jitter": FullJitter,
    "equal-jitter": EqualJitter,
}
"""Name on the command line -> what makes one client."""
