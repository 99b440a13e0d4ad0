"""What is installed of aiobotocore, aiohttp and httpx, and whose object is whose.

Only this file imports them; it is loaded when there is an aiobotocore client. They
carry no types, and shapes differ between versions: everything here is `Any`.
"""

from importlib import import_module
from typing import Any


aiohttp: Any = import_module("aiohttp")
awsrequest: Any = import_module("aiobotocore.awsrequest")
bodies: Any = import_module("aiobotocore.response")
httpx: Any = getattr(bodies, "httpx", None)
"""httpx or httpx2, whichever aiobotocore has taken; None: neither is installed."""
ReadTimeout: Any = bodies.AioReadTimeoutError
"""What a body's read raises when it took too long."""


def errors(*names: str) -> tuple[type[Exception], ...]:
    """The exception types of httpx called *names*; none when it is not there."""
    found = (getattr(httpx, name, None) for name in names)
    return tuple(one for one in found if one is not None)


TOO_LATE: tuple[type[Exception], ...] = (TimeoutError, *errors("TimeoutException"))
"""What aiohttp and httpx raise when a step took too long."""
BROKEN: tuple[type[Exception], ...] = (
    aiohttp.ClientConnectionError,
    aiohttp.ClientPayloadError,
    *errors("TransportError", "StreamError"),
)
"""What they raise when a connection ended early."""
UNSENT: tuple[type[Exception], ...] = (
    aiohttp.ClientConnectorError,
    *errors("ConnectError"),
)
"""What they raise before anything was sent."""


async def close(raw: Any) -> None:
    """Close the response *raw* and its connection, which is never used again."""
    if hasattr(raw, "aclose"):
        await raw.aclose()
    else:
        raw.close()
