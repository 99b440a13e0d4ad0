"""The order of an examination: name, connection, TLS, HTTP/2, gRPC, descriptors.

Each stage is begun only where the one before left something to look at, and none ends
the examination: what goes wrong becomes a finding.
"""

import contextlib
import importlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from .finding import Diagnosis, Finding, diagnosis
from .place import Endpoint, Place, parse
from .resolving import resolve
from .wish import Security, TimeLeft, Wish


if TYPE_CHECKING:  # it needs the extra `doctor`
    from .address import Seen


INSTALL: Final = "pip install 'resilience-middleware[doctor]'"
MAX_ADDRESSES: Final = 16
"""Only so many addresses of a target are examined."""
_AT_ONCE: Final = 8
_NEEDED: Final = ("grpc", "google.protobuf", "grpc_health.v1", "grpc_reflection", "h2")


def diagnose(
    target: str,
    *,
    security: Security = "find-out",
    ca: str | Path | None = None,
    cert: str | Path | None = None,
    key: str | Path | None = None,
    authority: str = "",
    service: str = "",
    descriptors: str | Path | None = None,
    timeout_s: float = 10.0,
) -> Diagnosis:
    """Look at *target* and say what is wrong between it and a gRPC client here.

    Nothing at the server is changed: it is asked for health and reflection, and one
    method is called that does not exist. Opens its own connections and, for a second
    or two, its own threads. Blocks for about *timeout_s* at most.

    Args:
        target: As gRPC takes it: host:port, dns:, ipv4:, ipv6: or unix:.
        security: `tls`, `plaintext`, or find out which the server speaks.
        ca: Root certificates (PEM); None: those that grpcio brings.
        cert: This client's certificate chain (PEM), for mutual TLS.
        key: Its private key (PEM); None: it is in the same file.
        authority: The name to ask for, in TLS and HTTP/2, instead of the host.
        service: The service whose health is asked; empty: the server as a whole.
        descriptors: A FileDescriptorSet file or a generated module to compare with.
        timeout_s: Seconds for everything together; more than 0, default 10.

    Returns:
        A diagnosis; faults of the target never raise.

    Raises:
        ValueError: the target or a file that was given cannot be used.
        ImportError: the extra `doctor` is not installed.
    """
    if not timeout_s > 0:
        msg = f"timeout_s is {timeout_s}; it must be more than 0"
        raise ValueError(msg)
    place = parse(target)
    _need_extra()
    from .descriptors import load as load_descriptors
    from .handshaking import load as load_certificates

    wish = Wish(
        security=security,
        ca=Path(ca) if ca else None,
        cert=Path(cert) if cert else None,
        key=Path(key) if key else None,
        authority=authority,
        service=service,
    )
    load_certificates(wish)
    given = load_descriptors(descriptors) if descriptors else None
    return _examine(place, wish, given, TimeLeft(timeout_s))


def _examine(place: Place, wish: Wish, given: Any, time_left: TimeLeft) -> Diagnosis:
    resolved = resolve(place, time_left)
    findings = list(resolved.findings)
    seen = _examine_addresses(resolved.endpoints, place, wish, time_left)
    findings += _addresses_in_words(resolved.endpoints, seen)
    usable = {one.speaks for one in seen if one.is_usable}
    services: tuple[str, ...] = ()
    if len(usable) == 1:
        asked = _ask(place, wish, given, time_left, is_secure=usable == {"tls"})
        findings += asked[0]
        services = asked[1]
    elif given is not None:
        findings.append(_not_compared("nobody there speaks gRPC"))
    return diagnosis(
        place.target,
        _without_repeats(findings),
        addresses=[str(endpoint) for endpoint in resolved.endpoints],
        services=services,
        elapsed_s=time_left.elapsed_s,
    )


def _examine_addresses(
    endpoints: Sequence[Endpoint], place: Place, wish: Wish, time_left: TimeLeft
) -> "list[Seen]":
    from .address import Seen, examine_address

    def one(endpoint: Endpoint) -> Seen:
        try:
            return examine_address(endpoint, place, wish, time_left)
        except Exception as error:  # noqa: BLE001  a doctor does not die of a patient
            return Seen(findings=(_surprise(error, str(endpoint)),))

    if not endpoints:
        return []
    with ThreadPoolExecutor(_AT_ONCE, "resilience-doctor") as pool:
        return list(pool.map(one, endpoints[:MAX_ADDRESSES]))


def _addresses_in_words(
    endpoints: Sequence[Endpoint], seen: "Sequence[Seen]"
) -> Iterator[Finding]:
    if len(endpoints) > MAX_ADDRESSES:
        yield Finding(
            code="addresses-left-out",
            level="fact",
            what=f"only the first {MAX_ADDRESSES} of {len(endpoints)} addresses were "
            "examined",
        )
    pairs = list(zip(endpoints, seen, strict=False))
    answering = {":" in endpoint.host for endpoint, one in pairs if one.is_connected}
    for endpoint, one in pairs:
        # An IPv6 address beside an IPv4 one that answers costs a moment, not calls.
        other_family = answering and (":" in endpoint.host) not in answering
        for finding in one.findings:
            if finding.level == "problem" and other_family and not one.is_connected:
                yield replace(
                    finding,
                    level="advice",
                    cause="the server listens on the other version of IP only",
                    remedy="gRPC goes on to the next address; let the server listen "
                    "on [::], or dial the address that answers",
                )
            else:
                yield finding
    spoken = sorted({one.speaks for one in seen if one.speaks})
    if len(spoken) > 1:
        yield Finding(
            code="addresses-differ",
            level="problem",
            what="some addresses of the target speak TLS and others plaintext",
            cause="a roll-out halfway through, or addresses of different servers",
            remedy="let all speak the same: a channel can only do one of the two",
        )


def _ask(
    place: Place, wish: Wish, given: Any, time_left: TimeLeft, *, is_secure: bool
) -> tuple[list[Finding], tuple[str, ...]]:
    """Health, services and descriptors over a channel like the application's."""
    from . import asking
    from .descriptors import compare, expected

    findings: list[Finding] = []
    services: tuple[str, ...] = ()
    try:
        with contextlib.closing(
            asking.open_channel(place, wish, is_secure=is_secure)
        ) as channel:
            findings.append(asking.ask_health(channel, wish, time_left))
            listed = asking.list_services(channel, time_left)
            findings.append(asking.listed_in_words(listed))
            services = listed.services
            if given is not None and not listed.version:
                findings.append(_not_compared("the server lists no services"))
            elif given is not None:
                names = expected(given)[0].keys() & set(services)
                served = asking.describe(
                    channel, listed.version, sorted(names), time_left
                )
                findings += compare(given, services, served)
    except Exception as error:  # noqa: BLE001  as above
        findings.append(_surprise(error, ""))
    return findings, services


def _not_compared(why: str) -> Finding:
    return Finding(
        code="not-compared",
        level="problem",
        what="the given descriptors could not be compared",
        cause=why,
        remedy="switch reflection on at the server, at least where this is checked",
    )


def _surprise(error: Exception, address: str) -> Finding:
    return Finding(
        code="examination-failed",
        level="problem",
        what="a part of the examination failed",
        evidence=f"{type(error).__name__}: {error}",
        cause="an answer that the examiner does not know",
        remedy="please report this with the evidence",
        address=address,
    )


def _without_repeats(findings: Sequence[Finding]) -> list[Finding]:
    return list(dict.fromkeys(findings))


def _need_extra() -> None:
    try:
        for module in _NEEDED:
            importlib.import_module(module)
    except ImportError as error:
        msg = f"resilience doctor needs {error.name}: {INSTALL}"
        raise ImportError(msg, name=error.name) from error
