"""Which written pattern speaks about which method, and how patterns are spelled.

gRPC and app: `service/Method` or `service/*`. AWS: `service.Operation` or
`service.*`. There are no other wild cards: two patterns never compete.
"""

import re
from typing import Final


_SEPARATOR: Final = {"grpc": "/", "aws": ".", "app": "/"}
_SHAPE: Final = {
    "grpc": re.compile(r"[A-Za-z_][\w.]*/(\*|[A-Za-z_]\w*)"),
    "aws": re.compile(r"[a-z][a-z0-9-]*\.(\*|[A-Z]\w*)"),
    "app": re.compile(r"[^\s/*]+/(\*|[^\s*]+)"),
}
ALLOWED: Final = {
    "grpc": "`package.Service/Method` or `package.Service/*`",
    "aws": "`service.Operation` or `service.*`, such as `s3.PutObject`",
    "app": "`service/operation` or `service/*`",
}


def service_pattern(protocol: str, service: str) -> str:
    """Return the pattern that covers all methods of *service*."""
    return f"{service}{_SEPARATOR[protocol]}*"


def exact_pattern(protocol: str, service: str, method: str) -> str:
    """Return the pattern that covers one method."""
    return f"{service}{_SEPARATOR[protocol]}{method}"


def split(protocol: str, text: str) -> tuple[str, str] | None:
    """Return service and method of a name or pattern; None: it is not one."""
    if not (text.isprintable() and _SHAPE[protocol].fullmatch(text)):
        return None
    separator = _SEPARATOR[protocol]
    service, _, method = (
        text.rpartition(separator) if protocol == "grpc" else text.partition(separator)
    )
    return service, method


def suggestion(protocol: str, text: str) -> str:
    """Return the pattern that *text* was probably meant to be; empty: no idea."""
    plain = text.strip()
    if plain in ("*", "*/*", "*.*", "/*", "all"):
        return "write it under `all` of the section"
    plain = plain.lstrip("/").replace(":", _SEPARATOR[protocol])
    if protocol == "aws":
        service, _, method = plain.replace("/", ".").partition(".")
        if "_" in method or method.islower():
            method = "".join(part[:1].upper() + part[1:] for part in method.split("_"))
        plain = f"{service.lower()}.{method or '*'}"
    elif protocol == "grpc" and "/" not in plain:
        service, _, method = plain.rpartition(".")
        # `shop.Cart.GetCart` ends in a method, `shop.Cart` in a service.
        is_method = service.rpartition(".")[2][:1].isupper()
        plain = f"{service}/{method}" if is_method else f"{plain}/*"
    elif "/" not in plain:
        plain = f"{plain}/*"
    good = plain != text and _SHAPE[protocol].fullmatch(plain)
    return f"write `{plain}`" if good else ""
