"""A body that came with its headers is left alone: nothing can cut it any more."""

import socket
import threading
from contextlib import contextmanager

import pytest

from resilience.botocore.body import Watched
from resilience.botocore.sockets import Bounded


BODY = b"0123456789" * 100
LIMITED = {"s3.GetObject": {"timeout": "20s"}}
HEAD = (
    b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\nx-amz-request-id: 1\r\n\r\n'
)


@contextmanager
def answering(first, go, rest):
    """A server that sends *first*, and once *go* is set *rest*; its URL."""

    def serve():
        sock, _ = listener.accept()
        with sock:
            sock.settimeout(20)
            sock.recv(65536)
            sock.sendall(first)
            if rest and go.wait(20):
                sock.sendall(rest)
            sock.recv(1)  # until the client closes

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


@pytest.mark.parametrize("body", [b"1", BODY, b""])
def test_a_body_that_came_with_its_headers(body, connect, make_engine):
    """It is read natively, whole, and its call's limit binds nothing any more."""
    whole = HEAD % len(body) + body
    with answering(whole, None, b"") as url:
        client = connect("s3", make_engine(operations=LIMITED), endpoint_url=url)
        answer = client.get_object(Bucket="bkt", Key="k")
        raw = answer["Body"]._raw_stream
        sock = raw._fp.fp.raw._sock if body else None

        assert not isinstance(raw, Watched)
        assert answer["Body"].read() == body
        if sock is not None:
            assert isinstance(sock, Bounded)
            assert sock.limit.left() is None

        client.close()


@pytest.mark.parametrize("came", [0, 1, len(BODY) - 1])
def test_a_body_that_has_not_come(came, connect, make_engine):
    """Whoever looks does not wait for it, and it is watched."""
    go = threading.Event()
    with answering(HEAD % len(BODY) + BODY[:came], go, BODY[came:]) as url:
        client = connect("s3", make_engine(operations=LIMITED), endpoint_url=url)
        answer = client.get_object(Bucket="bkt", Key="k")

        assert not go.is_set()
        assert isinstance(answer["Body"]._raw_stream, Watched)

        go.set()

        assert answer["Body"].read() == BODY

        client.close()
