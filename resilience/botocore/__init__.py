"""boto3 and botocore clients under one policy engine.

Import `register` and `unregister` from here; the other modules are the adapter's own.
Native requests and answers are translated here; what they mean is decided in the
core. Needs the extra: `pip install 'resilience-middleware[aws]'`.
"""

try:
    import botocore as _botocore  # noqa: F401 - only to find out
except ImportError as error:
    msg = "resilience.botocore needs botocore: pip install 'resilience-middleware[aws]'"
    raise ImportError(msg) from error

from .idempotency import declared
from .owners import strangers
from .register import owner_of, register, unregister
from .rejected import BotocoreRejected
from .resume import ObjectChanged


__all__ = [
    "BotocoreRejected",
    "ObjectChanged",
    "declared",
    "owner_of",
    "register",
    "strangers",
    "unregister",
]
