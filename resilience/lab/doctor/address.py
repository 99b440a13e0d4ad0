"""One address of a target: does it connect, speak TLS or plaintext, HTTP/2, gRPC?"""

import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from .connecting import connect
from .finding import Finding
from .handshaking import Handshake, shake
from .http2 import is_available, is_grpc, judge_http2
from .place import Endpoint, Place
from .speaking import Heard, speak, speak_http1
from .tls import judge_client_certificate, judge_tls
from .wish import TimeLeft, Wish


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What was seen of one address."""

    findings: tuple[Finding, ...]
    is_connected: bool = False
    """Whether a connection was made."""
    speaks: Literal["", "tls", "plaintext"] = ""
    """What HTTP/2 was spoken on; empty: none was."""
    is_usable: bool = False
    """Whether a gRPC channel can be expected to work."""


class _Address:
    """One examination of one address. Owned by one thread."""

    def __init__(
        self, endpoint: Endpoint, place: Place, wish: Wish, time_left: TimeLeft
    ) -> None:
        self._endpoint = endpoint
        self._wish = wish
        self._time_left = time_left
        asked = wish.authority or place.host
        self._name = asked if wish.authority.count(":") != 1 else asked.split(":")[0]
        self._authority = wish.authority or _authority(place)

    def connect(self) -> socket.socket | Finding:
        return connect(self._endpoint, self._time_left.step_s())

    def over_tls(self) -> tuple[Handshake, Heard | None] | Finding:
        result = shake(self.connect, self._name, self._wish)
        if isinstance(result, Finding):
            return result
        connection, seen = result
        if connection is None:
            return seen, None
        with connection:
            heard = speak(connection, self._authority, self._time_left.step_s())
        return seen, heard

    def over_plaintext(self) -> Heard | Finding:
        made = self.connect()
        if isinstance(made, Finding):
            return made
        with made:
            heard = speak(made, self._authority, self._time_left.step_s())
        # A web server may answer the preface with a bare page: it is asked for more.
        if heard.has_settings or heard.first_bytes[:1] not in (b"", b"<"):
            return heard
        again = self.connect()
        if isinstance(again, Finding):
            return heard
        with again:
            step_s = self._time_left.step_s()
            heard.http1 = speak_http1(again, self._authority, step_s)
        return heard


def examine_address(
    endpoint: Endpoint, place: Place, wish: Wish, time_left: TimeLeft
) -> Seen:
    """Look at one address of *place*; blocks within *time_left*."""
    address = _Address(endpoint, place, wish, time_left)
    made = address.connect()
    if isinstance(made, Finding):
        return Seen(findings=(made,))
    made.close()
    seen = _plaintext_first(address) if wish.security == "plaintext" else None
    if seen is None:
        seen = _tls_first(address, wish)
    connected = Finding(
        code="tcp-connected", level="fact", what="the connection is accepted"
    )
    named = tuple(
        finding if finding.address else replace(finding, address=str(endpoint))
        for finding in (connected, *seen.findings)
    )
    return replace(seen, findings=named, is_connected=True)


def _tls_first(address: _Address, wish: Wish) -> Seen:
    result = address.over_tls()
    if isinstance(result, Finding):
        return Seen(findings=(result,))
    shaken, heard = result
    if heard is not None or shaken.is_tls:
        return _judged_tls(shaken, heard, wish)
    findings = [] if wish.security == "find-out" else [*_judge_tls(shaken)]
    plain = address.over_plaintext()
    if isinstance(plain, Finding):
        return Seen(findings=(*findings, plain))
    found = _judged_plaintext(plain)
    if not findings:
        return _with_both_faults(found, shaken.fault)
    return replace(found, findings=(*findings, *found.findings), is_usable=False)


def _with_both_faults(seen: Seen, fault: str) -> Seen:
    """A peer that hangs up on either says why in neither; both are shown."""
    return replace(
        seen,
        findings=tuple(
            replace(one, evidence=f"plaintext: {one.evidence}; TLS: {fault}")
            if one.code == "http2-cut-off"
            else one
            for one in seen.findings
        ),
    )


def _plaintext_first(address: _Address) -> Seen | None:
    """What was seen in plaintext; None: the wish is for TLS after all."""
    plain = address.over_plaintext()
    if isinstance(plain, Finding):
        return Seen(findings=(plain,))
    if plain.has_settings or plain.http1:
        return _judged_plaintext(plain)
    result = address.over_tls()
    if isinstance(result, Finding) or not result[0].is_tls:
        return _judged_plaintext(plain)
    return Seen(
        findings=(
            Finding(
                code="tls-needed",
                level="problem",
                what="the server speaks TLS on this port, and plaintext was asked for",
                evidence=f"{result[0].version or 'TLS'}; plaintext was {plain.end}",
                cause="the port is for TLS",
                remedy="use grpc.secure_channel; leave out --plaintext",
            ),
        )
    )


def _judged_plaintext(heard: Heard) -> Seen:
    fact = Finding(
        code="plaintext-spoken",
        level="fact",
        what="the server speaks plaintext: anybody on the way can read and change it",
    )
    facts = (fact,) if heard.has_settings else ()
    return Seen(
        findings=(*facts, *judge_http2(heard)),
        speaks="plaintext" if heard.has_settings else "",
        is_usable=is_available(heard),
    )


def _judged_tls(shaken: Handshake, heard: Heard | None, wish: Wish) -> Seen:
    was_given = wish.cert is not None
    cut_off = heard.end if heard and not heard.first_bytes else ""
    mutual = [
        *judge_client_certificate(shaken, was_given=was_given, was_cut_off=cut_off)
    ]
    refused = any(finding.level == "problem" for finding in mutual)
    findings = [] if refused and shaken.fault else [*_judge_tls(shaken)]
    if refused or (heard and is_grpc(heard)):
        findings += mutual
    if heard is not None and not refused:
        findings += judge_http2(heard)
    spoken = heard is not None and heard.has_settings
    return Seen(
        findings=tuple(findings),
        speaks="tls" if spoken else "",
        is_usable=heard is not None
        and is_available(heard)
        and all(f.level != "problem" for f in _judge_tls(shaken)),
    )


def _judge_tls(shaken: Handshake) -> Iterator[Finding]:
    return judge_tls(shaken, now=datetime.now(UTC))


def _authority(place: Place) -> str:
    return "localhost" if place.scheme == "unix" else str(place.endpoints[0])
