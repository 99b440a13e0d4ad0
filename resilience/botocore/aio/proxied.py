"""The bodies of aiobotocore 2, which are proxies of aiohttp's responses.

What is set on one is set on the response, unless its name begins with `_self_`, and
the response may be exchanged for another one. aioboto3 15 still brings them.
"""

from typing import Any


CARRIED = ("_checksum", "_expected")
"""What a body with a checksum has left on its response."""


def raw_of(body: Any) -> Any:
    """The response of aiohttp or httpx that *body* reads from."""
    own = getattr(body, "_raw_stream", None)
    return body.__wrapped__ if own is None else own


def _watch(body: Any) -> Any:
    return body._self_resilience_watch


def _set_watch(body: Any, watch: Any) -> None:
    body._self_resilience_watch = watch


def _raw(body: Any) -> Any:
    return body.__wrapped__


def _set_raw(body: Any, raw: Any) -> None:
    left = vars(body.__wrapped__)
    for name in CARRIED:
        if name in left:
            setattr(raw, name, left[name])
    body.__wrapped__ = raw


def _close(body: Any) -> None:
    body.__wrapped__.close()


async def _aclose(body: Any) -> None:
    body.__wrapped__.close()


async def _readinto(body: Any, b: bytearray) -> int:
    chunk: bytes = await body.read(len(b))
    b[: len(chunk)] = chunk
    return len(chunk)


CHECKED = {"readinto": _readinto}
"""What the class of one with a checksum has: natively it reads past what looks on."""
PROXIED = {
    "_raw_stream": property(_raw, _set_raw),
    "_resilience_watch": property(_watch, _set_watch),
    "aclose": _aclose,
    "close": _close,
}
"""What a class that is put in front of such a body has besides."""
