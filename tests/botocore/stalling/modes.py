"""The ways in which a server stalls, each with a call that meets it."""

from typing import Any, NamedTuple


LONG = b"x" * 4000
LIST = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/xml\r\ncontent-length: 4000\r\n\r\n"
)
ERROR = (
    b"HTTP/1.1 404 Not Found\r\ncontent-type: application/xml\r\n"
    b"content-length: 4000\r\n\r\n"
)
BODY = b"y" * 8_000_000


def accepts(peer):
    peer.handshake()
    peer.request()
    peer.stall()


def drips_headers(peer):
    peer.handshake()
    peer.request()
    peer.send(b"HTTP/1.1 200 OK\r\nx-long: ")
    peer.drip(LONG)


def drips_list(peer):
    peer.handshake()
    peer.request()
    peer.send(LIST)
    peer.drip(LONG)


def drips_error(peer):
    peer.handshake()
    peer.request()
    peer.send(ERROR)
    peer.drip(LONG)


def stalls_error(peer):
    peer.handshake()
    peer.request()
    peer.send(ERROR + b"<Error>")
    peer.stall()


def never_reads(peer):
    peer.handshake()
    peer.stall()


def no_handshake(peer):
    peer.stall()


def drips_handshake(peer):
    """A TLS record that is announced and then comes byte after byte."""
    peer.sock.recv(4096)
    peer.send(b"\x16\x03\x03\x0f\xa0\x02\x00\x0f\x9c")
    peer.drip(LONG)


class Mode(NamedTuple):
    script: Any
    call: Any
    tls_only: bool = False


def _list(client):
    return client.list_objects_v2(Bucket="orders")


def _get(client):
    return client.get_object(Bucket="orders", Key="1")


def _put(client):
    return client.put_object(Bucket="orders", Key="1", Body=BODY)


MODES = {
    "accepts and never answers": Mode(accepts, _list),
    "drips headers": Mode(drips_headers, _list),
    "drips a list body": Mode(drips_list, _list),
    "drips an error body": Mode(drips_error, _get),
    "stalls in an error body": Mode(stalls_error, _get),
    "never reads an upload": Mode(never_reads, _put),
    "stalls in TLS": Mode(no_handshake, _list, tls_only=True),
    "drips TLS": Mode(drips_handshake, _list, tls_only=True),
}
