"""What a TLS handshake means for gRPC. Pure: the moment is given, not looked up."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from .finding import Finding
from .handshaking import Certificate, Handshake


EXPIRY_NOTICE: Final = timedelta(days=14)
"""A certificate with less than this left is worth a word; renewals by ACME happen 30
days before the end, so two weeks say that one was missed."""


def judge_tls(seen: Handshake, *, now: datetime) -> Iterator[Finding]:
    """What is right and wrong with a server's TLS, the handshake's failure first."""
    if seen.fault:
        yield _failed(seen)
        return
    yield Finding(
        code="tls-spoken",
        level="fact",
        what=f"the server speaks TLS ({seen.version})",
        evidence=f"ALPN offered h2, http/1.1; selected {seen.alpn or 'none'}",
    )
    if seen.alpn != "h2":
        yield Finding(
            code="alpn-without-h2",
            level="problem",
            what="the server does not select HTTP/2 by ALPN; gRPC then refuses it",
            evidence=f"ALPN offered h2, http/1.1; selected {seen.alpn or 'none'}",
            cause="what ends TLS there does not have HTTP/2 switched on",
            remedy="nginx: `listen ... ssl http2`; HAProxy: `bind ... ssl alpn h2`; "
            "Envoy: alpn_protocols [h2]; a load balancer: its HTTP/2 or gRPC setting",
        )
    if seen.untrusted:
        yield _untrusted(seen)
    if seen.certificate is not None:
        yield from _times(seen.certificate, now)
    if seen.wrong_name:
        names = seen.certificate.names if seen.certificate else ()
        yield Finding(
            code="certificate-wrong-name",
            level="problem",
            what=f"the certificate is not for {seen.name}",
            evidence=f"it is for {', '.join(names) or 'no name at all'}",
            cause="another name or address was dialled, or another server answers",
            remedy="dial a name that it holds, or have it issued for this one as "
            "subjectAltName; --authority NAME asks for another name "
            "(in code: grpc.ssl_target_name_override)",
        )


def judge_client_certificate(
    seen: Handshake, *, was_given: bool, was_cut_off: str
) -> Iterator[Finding]:
    """What is so about mutual TLS; *was_cut_off* says how the connection ended early.

    In TLS 1.3 a server refuses a client's certificate after the handshake, so it takes
    what happened next to know.
    """
    fault = seen.fault or was_cut_off
    asks = seen.asks_certificate or "CERTIFICATE_REQUIRED" in fault
    if asks and fault and not was_given:
        yield Finding(
            code="client-certificate-demanded",
            level="problem",
            what="the server demands a client certificate (mutual TLS)",
            evidence=fault,
            cause="none was given",
            remedy="give --cert and --key; in code: grpc.ssl_channel_credentials("
            "root, private_key, certificate_chain)",
        )
    elif asks and fault:
        yield Finding(
            code="client-certificate-refused",
            level="problem",
            what="the server does not accept the client certificate",
            evidence=fault,
            cause="it is signed by a root that the server does not trust, has "
            "expired, or is not for client use",
            remedy="use one from the authority that the server trusts",
        )
    elif asks:
        given = "and accepts the one given" if was_given else "and does without one"
        yield Finding(
            code="client-certificate-asked",
            level="fact",
            what=f"the server asks for a client certificate {given}",
        )


def _failed(seen: Handshake) -> Finding:
    if not seen.is_tls:
        return Finding(
            code="tls-not-spoken",
            level="problem",
            what="the server does not speak TLS on this port",
            evidence=seen.fault,
            cause="a port for plaintext, or a proxy that ends TLS elsewhere",
            remedy="use the TLS port, or grpc.insecure_channel inside a trusted "
            "network",
        )
    if "PROTOCOL_VERSION" in seen.fault or "UNSUPPORTED_PROTOCOL" in seen.fault:
        cause = "there is no TLS version that both sides know; gRPC needs 1.2 or later"
        remedy = "switch TLS 1.2 and 1.3 on at the server"
    elif "APPLICATION_PROTOCOL" in seen.fault:
        cause = "the server knows neither h2 nor http/1.1 by ALPN"
        remedy = "switch HTTP/2 on where TLS ends"
    elif "UNRECOGNIZED_NAME" in seen.fault:
        cause = f"the server has no certificate for the name {seen.name}"
        remedy = "dial a name that it serves, or give --authority"
    else:
        cause = "cipher suites, a demanded client certificate, or a broken server"
        remedy = "read the server's log of this moment"
    return Finding(
        code="tls-handshake-failed",
        level="problem",
        what="the server speaks TLS and refuses the handshake",
        evidence=seen.fault,
        cause=cause,
        remedy=remedy,
    )


def _untrusted(seen: Handshake) -> Finding:
    issuer = seen.certificate.issuer if seen.certificate else "unknown"
    if seen.system_trusts:
        cause = (
            "this machine trusts the issuer and grpcio does not: it brings its own "
            "list of roots"
        )
        remedy = (
            "give the root as --ca (in code: root_certificates), or name the system's "
            "file in GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"
        )
    elif "self-signed" in seen.untrusted or "self signed" in seen.untrusted:
        cause = "a certificate of your own making, or of a private authority"
        remedy = "give its root as --ca (in code: root_certificates)"
    else:
        cause = (
            "signed by an authority that is not among the roots, or the server does "
            "not send the intermediate certificate"
        )
        remedy = (
            "give the right root as --ca (in code: root_certificates); let the server "
            "send its full chain"
        )
    return Finding(
        code="certificate-untrusted",
        level="problem",
        what="the certificate is not signed by a root that is trusted here",
        evidence=f"{seen.untrusted}; issuer {issuer}",
        cause=cause,
        remedy=remedy,
    )


def _times(certificate: Certificate, now: datetime) -> Iterator[Finding]:
    begins = f"{certificate.begins:%Y-%m-%d %H:%M} UTC"
    ends = f"{certificate.ends:%Y-%m-%d %H:%M} UTC"
    if now > certificate.ends:
        yield Finding(
            code="certificate-expired",
            level="problem",
            what=f"the certificate expired on {ends}",
            evidence=f"valid from {begins} to {ends}; {certificate.subject}",
            cause="it was not renewed, or the server still uses the old one",
            remedy="renew it and reload the server; check this machine's clock",
        )
    elif now < certificate.begins:
        yield Finding(
            code="certificate-not-yet-valid",
            level="problem",
            what=f"the certificate is valid only from {begins}",
            cause="a clock that is wrong, here or where it was issued",
            remedy="check both clocks",
        )
    elif certificate.ends - now < EXPIRY_NOTICE:
        days = (certificate.ends - now).days
        yield Finding(
            code="certificate-expires-soon",
            level="advice",
            what=f"the certificate expires in {days} days, on {ends}",
            remedy="renew it; find out why that has not happened by itself",
        )
