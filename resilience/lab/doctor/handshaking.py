"""TLS handshakes, and what they show. Nothing is judged here.

The connection that is spoken on does not verify the server, because a diagnosis wants
to see past the first fault; no secret is ever sent on it. Three more handshakes answer
one question each: what is in the certificate, is its chain trusted, is its name right.
"""

import contextlib
import functools
import pkgutil
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from .finding import Finding, shown
from .wish import Wish


NO_CHECK_TIME: Final = ssl.VerifyFlags(0x200000)
"""OpenSSL's X509_V_FLAG_NO_CHECK_TIME, which `ssl` has no name for."""
CERTIFICATE_REQUEST: Final = 13
"""The handshake message in which a server asks for a client certificate (RFC 8446)."""

Connect = Callable[[], "socket.socket | Finding"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What a server's certificate says."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    """DNS names and addresses that it is for."""
    begins: datetime
    ends: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """What was seen of the server's TLS."""

    name: str
    """The name that was asked for."""
    is_tls: bool = True
    """Whether the peer answered in TLS, if only to refuse."""
    fault: str = ""
    """Why the handshake failed; empty: it did not."""
    version: str = ""
    alpn: str = ""
    """The protocol that the server selected; empty: none."""
    asks_certificate: bool = False
    """Whether the server asked for a client certificate."""
    certificate: Certificate | None = None
    untrusted: str = ""
    """Why the chain is not trusted; empty: it is."""
    system_trusts: bool = False
    """An untrusted chain, and yet this machine's own roots trust it."""
    wrong_name: str = ""
    """Why the certificate is not for `name`; empty: it is."""


def load(wish: Wish) -> None:
    """See that the files of *wish* can be read.

    Raises:
        ValueError: one of them is missing or not what it should be.
    """
    try:
        _trust(_context(wish), wish)
    except (OSError, ssl.SSLError) as error:
        names = ", ".join(str(p) for p in (wish.ca, wish.cert, wish.key) if p)
        msg = f"cannot use the certificates ({names}): {_reason(error)}"
        raise ValueError(msg) from None


def shake(
    connect: Connect, name: str, wish: Wish
) -> tuple[ssl.SSLSocket | None, Handshake] | Finding:
    """Shake hands on new connections; the first stays open if all went well."""
    asked: list[bool] = []
    context = _context(wish)
    context.set_alpn_protocols(["h2", "http/1.1"])
    _watch(context, asked)
    made = connect()
    if isinstance(made, Finding):
        return made
    try:
        speaking = context.wrap_socket(made, server_hostname=name)
    except (OSError, ValueError) as error:
        made.close()
        fault = _reason(error)
        is_tls = "ALERT" in fault or "UNSUPPORTED_PROTOCOL" in fault or bool(asked)
        return None, Handshake(
            name=name, is_tls=is_tls, fault=fault, asks_certificate=bool(asked)
        )
    seen = Handshake(
        name=name,
        version=speaking.version() or "",
        alpn=speaking.selected_alpn_protocol() or "",
        asks_certificate=bool(asked),
    )
    leaf = speaking.getpeercert(binary_form=True)
    return speaking, _looked_into(seen, connect, wish, leaf) if leaf else seen


def _looked_into(
    seen: Handshake, connect: Connect, wish: Wish, leaf: bytes
) -> Handshake:
    """*seen* with what further handshakes say about the certificate."""
    shake_again = functools.partial(_verify, connect, seen.name, wish)
    # The leaf itself as the only root: then all that is left to fail is its name.
    subject, wrong_name = shake_again(leaf=leaf, check_name=True)
    if wrong_name:
        subject, _ = shake_again(leaf=leaf, check_name=False)
    _, untrusted = shake_again(leaf=None, check_name=False)
    system_trusts = False
    if untrusted and wish.ca is None:
        _, doubt = shake_again(leaf=None, check_name=False, system=True)
        system_trusts = not doubt
    return replace(
        seen,
        certificate=_certificate(subject) if subject else None,
        wrong_name=wrong_name,
        untrusted=untrusted,
        system_trusts=system_trusts,
    )


def _verify(
    connect: Connect,
    name: str,
    wish: Wish,
    *,
    leaf: bytes | None,
    check_name: bool,
    system: bool = False,
) -> tuple[dict[str, Any], str]:
    """The peer's certificate if it passes, and else why it does not."""
    context = _context(wish)
    context.verify_mode = ssl.CERT_REQUIRED
    context.check_hostname = check_name
    context.verify_flags |= NO_CHECK_TIME
    if leaf is not None:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        context.load_verify_locations(cadata=leaf)
    elif system:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        _trust(context, wish)
    made = connect()
    if isinstance(made, Finding):
        return {}, ""
    try:
        with context.wrap_socket(made, server_hostname=name) as speaking:
            return dict(speaking.getpeercert() or {}), ""
    except ssl.SSLCertVerificationError as error:
        return {}, error.verify_message or _reason(error)
    except (OSError, ValueError):  # no answer to this question
        return {}, ""
    finally:
        made.close()


def _context(wish: Wish) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if wish.cert is not None:
        # A callback, because OpenSSL would ask the terminal for a pass phrase.
        context.load_cert_chain(wish.cert, wish.key, password=lambda: b"")
    return context


def _trust(context: ssl.SSLContext, wish: Wish) -> None:
    if wish.ca is not None:
        context.load_verify_locations(cafile=wish.ca)
    elif roots := _grpc_roots():
        context.load_verify_locations(cadata=roots)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)


@functools.lru_cache(maxsize=1)
def _bundled_roots() -> str:
    with contextlib.suppress(OSError):
        data = pkgutil.get_data("grpc._cython", "_credentials/roots.pem")
        # OpenSSL's loader takes ASCII only; the file has comments in other scripts.
        return data.decode("ascii", "replace").replace("\ufffd", "?") if data else ""
    return ""


def _grpc_roots() -> str:
    """The roots that grpcio trusts where none are given: its own, unless told."""
    import os

    named = os.environ.get("GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "")
    if named:
        with contextlib.suppress(OSError):
            return Path(named).read_text("ascii", "replace").replace("\ufffd", "?")
    return _bundled_roots()


def _watch(context: ssl.SSLContext, asked: list[bool]) -> None:
    def heard(
        _connection: object,
        direction: str,
        _version: object,
        _content: object,
        message: int,
        _data: bytes,
    ) -> None:
        if direction == "read" and message == CERTIFICATE_REQUEST:
            asked.append(True)

    # Not public, but the only way to hear that the server asks for a certificate and
    # would do without. A test pins it; without it, refusals still tell.
    with contextlib.suppress(AttributeError):
        context._msg_callback = heard  # type: ignore[attr-defined]  # noqa: SLF001 - see above


def _certificate(found: dict[str, Any]) -> Certificate:
    def name(key: str) -> str:
        parts = [f"{k}={v}" for row in found.get(key, ()) for k, v in row]
        return shown(", ".join(parts))

    return Certificate(
        subject=name("subject"),
        issuer=name("issuer"),
        names=tuple(shown(value) for _, value in found.get("subjectAltName", ())),
        begins=_moment(found["notBefore"]),
        ends=_moment(found["notAfter"]),
    )


def _moment(text: str) -> datetime:
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(text), UTC)


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    if isinstance(error, TimeoutError):
        return "timed out"
    return getattr(error, "strerror", "") or str(error) or type(error).__name__
