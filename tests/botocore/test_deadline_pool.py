"""The client's own pool, proxies and certificates under deadlines."""

import contextlib
import socket
import threading

import pytest
from botocore import awsrequest
from botocore.exceptions import (
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from urllib3.util import connection as connecting

import resilience
from resilience.botocore import connections, register, unregister
from resilience.botocore.timeouts import PER_REQUEST
from tests.botocore.stalling.modes import _list, accepts


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def answers(peer):
    peer.handshake()
    while peer.request(body=False):
        peer.send(OK)


def head(client):
    return client.head_object(Bucket="orders", Key="1")


def pools(client):
    session = client._endpoint.http_session
    return list(session._manager.pools._container.values())


def idle(client):
    return [conn for pool in pools(client) for conn in pool.pool.queue if conn]


@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_connections_are_used_again(tls, serve, dial):
    """One connection serves call after call, with deadlines and without."""
    server = serve(answers, tls=tls)
    client = dial(server.url)
    for seconds in (5, None, 5):
        if seconds is None:
            head(client)
        else:
            with resilience.deadline(seconds):
                head(client)

    assert (1, 3) == (server.connections, len(server.seen))
    (conn,) = idle(client)
    assert conn.sock.limit.at is None


@pytest.mark.slow
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_a_connection_that_was_cut_is_gone(tls, serve, dial):
    """After a cut the next call gets a connection of its own, and its own answer."""

    def script(peer):
        peer.handshake()
        while peer.request():
            if len(peer.server.seen) == 2:
                peer.rest(0.3)
            peer.send(OK)

    server = serve(script, tls=tls)
    client = dial(server.url)
    head(client)
    with resilience.deadline(0.2), pytest.raises(ReadTimeoutError):
        head(client)

    assert [] == idle(client)
    head(client)
    assert 2 == server.connections


def test_a_client_that_has_connections_is_protected(serve, dial, make_engine):
    """Registering a client that was used exchanges its pools, not its calls' ends."""
    server = serve(answers)
    client = dial(server.url, bare=True)
    head(client)
    register(client, make_engine())
    head(client)

    (pool,) = pools(client)
    assert isinstance(pool, connections.DeadlineHTTPPool)
    assert 2 == len(server.seen)


def test_unregistering_gives_the_pool_back(serve, dial, make_engine):
    """After unregister nothing of ours is left in the client."""
    server = serve(answers)
    client = dial(server.url, bare=True)
    endpoint = client._endpoint
    before = dict(vars(endpoint)), dict(endpoint.http_session._pool_classes_by_scheme)
    register(client, make_engine())
    head(client)
    unregister(client)

    after = dict(vars(endpoint)), endpoint.http_session._pool_classes_by_scheme
    assert before == after
    head(client)
    assert type(pools(client)[0]) is awsrequest.AWSHTTPConnectionPool


def test_an_unknown_pool_stays_and_is_named(serve, dial, make_engine, sink, caplog):
    """Connections that are not botocore's own are left alone, with one warning."""

    class Own(awsrequest.AWSHTTPConnectionPool):
        pass

    client = dial(serve(answers).url, bare=True)
    client._endpoint.http_session._pool_classes_by_scheme["http"] = Own
    register(client, make_engine())
    with resilience.deadline(5):
        head(client)
        head(client)

    (notice,) = [n for n in sink.of("Notice") if n.code == "soft-deadlines"]
    assert "deadlines are soft" in notice.message
    assert [Own] == [type(pool) for pool in pools(client)]


@pytest.mark.slow
def test_soft_deadlines_still_end_silence(dial, make_engine, serve):
    """Where sockets cannot be had botocore's own timeouts are set, if it has any.

    Otherwise the deadline still ends the call after the attempt that is under way.
    """

    class Own(awsrequest.AWSHTTPConnectionPool):
        pass

    read_s = 60 if PER_REQUEST else 0.2
    client = dial(serve(accepts).url, bare=True, read_timeout=read_s)
    client._endpoint.http_session._pool_classes_by_scheme["http"] = Own
    register(client, make_engine())

    with resilience.deadline(0.1), pytest.raises(ReadTimeoutError) as caught:
        _list(client)

    assert 1 == len(resilience.report(caught.value).attempts)


def test_who_replaces_a_connection_class_keeps_it(serve, dial, monkeypatch):
    """Recorders put their own class into botocore's pools, and stay in charge."""
    made = []

    class Recorder(awsrequest.AWSHTTPConnection):
        def __init__(self, *args, **kwargs):
            made.append(self)
            super().__init__(*args, **kwargs)

    pool = awsrequest.AWSHTTPConnectionPool
    monkeypatch.setattr(pool, "ConnectionCls", Recorder)
    client = dial(serve(answers).url)
    with resilience.deadline(5):
        head(client)

    assert 1 == len(made)


def test_who_replaces_connecting_keeps_it(serve, dial, monkeypatch):
    """A `create_connection` that somebody put in place is asked, with our time."""
    bare, asked = connecting.create_connection, []

    def mine(address, timeout, **more):
        asked.append((address[0], timeout))
        return bare(("127.0.0.1", address[1]), timeout, **more)

    monkeypatch.setattr(connecting, "create_connection", mine)
    server = serve(answers)
    client = dial(server.url.replace("127.0.0.1", "nowhere.example"))
    with resilience.deadline(5):
        head(client)

    ((host, timeout),) = asked
    assert "nowhere.example" == host
    assert 4 < timeout < 5


def test_gevents_sockets_would_be_used(serve, dial, monkeypatch):
    """The socket class is looked up when a connection is opened."""

    class Patched(socket.socket):
        pass

    monkeypatch.setattr(socket, "socket", Patched)
    client = dial(serve(answers).url)
    with resilience.deadline(5):
        head(client)

    assert isinstance(idle(client)[0].sock, Patched)


def test_a_socket_that_is_no_class_is_let_be(serve, dial, monkeypatch):
    """Who puts a function into the place of the socket class is asked for sockets."""
    bare = socket.socket

    def one(*args, **kwargs):
        return bare(*args, **kwargs)

    client = dial(serve(answers).url)
    monkeypatch.setattr(socket, "socket", one)
    with resilience.deadline(5):
        head(client)
    monkeypatch.undo()

    assert bare is type(idle(client)[0].sock)


@pytest.mark.parametrize("bounded", [False, True])
def test_a_refusal_is_botocores(bounded, dial, make_engine):
    """Nobody listens: the error is the one that botocore has without us."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        engine = make_engine({"retry": "off"})
        client = dial(f"http://127.0.0.1:{bound.getsockname()[1]}", engine)
        with (
            resilience.deadline(5 if bounded else 1e9),
            pytest.raises(EndpointConnectionError),
        ):
            head(client)


@pytest.mark.parametrize("bounded", [False, True])
def test_an_unknown_name_is_botocores(bounded, dial, make_engine, monkeypatch):
    """A name that does not resolve: the error is the one that botocore has."""

    def fail(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    client = dial("http://nowhere.example:1", make_engine({"retry": "off"}))
    with (
        resilience.deadline(5 if bounded else 1e9),
        pytest.raises(EndpointConnectionError) as caught,
    ):
        head(client)

    (attempt,) = resilience.report(caught.value).attempts
    assert "no" == attempt.reached


def test_certificates_are_verified(serve, dial, make_engine, session):
    """A certificate that the client's bundle does not cover is refused as ever."""
    server = serve(answers, tls=True)
    register(session, make_engine({"retry": "off"}))
    client = session.client("s3", endpoint_url=server.url)
    with resilience.deadline(5), pytest.raises(SSLError, match="CERTIFICATE_VERIFY"):
        head(client)
    client.close()


def relays(to):
    """Return the script of a CONNECT proxy."""

    def copy(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)

    def script(peer):
        peer.handshake()
        peer.request()
        with socket.create_connection(("127.0.0.1", to.port)) as inner:
            peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            thread = threading.Thread(target=copy, args=(inner, peer.sock), daemon=True)
            thread.start()
            copy(peer.sock, inner)
            with contextlib.suppress(OSError):
                inner.shutdown(socket.SHUT_RDWR)
            thread.join(1)

    return script


def stalls(peer):
    peer.handshake()
    peer.request()
    peer.stall()


def test_a_proxy_is_used(serve, dial):
    """A forwarding proxy gets the request, with its deadline."""
    proxy = serve(answers)
    client = dial("http://nowhere.example:1", proxies={"http": proxy.url})
    with resilience.deadline(5):
        head(client)

    assert proxy.seen[0][0].startswith("HEAD http://nowhere.example:1/orders/1")


def test_a_tunnel_is_used(serve, dial):
    """TLS goes through a CONNECT proxy, and the connection is kept."""
    server = serve(answers, tls=True)
    proxy = serve(relays(server))
    client = dial(server.url, proxies={"https": proxy.url})
    for _ in range(2):
        with resilience.deadline(5):
            head(client)

    assert proxy.seen[0][0].startswith("CONNECT 127.0.0.1")
    assert (1, 1, 2) == (proxy.connections, server.connections, len(server.seen))


@pytest.mark.slow
def test_a_stall_behind_a_tunnel_ends(serve, dial):
    """What stalls behind a proxy is cut like anything else."""
    server = serve(accepts, tls=True)
    proxy = serve(relays(server))
    client = dial(server.url, proxies={"https": proxy.url})
    # Where it is by then is the machine's business: all that matters is that it ends.
    with (
        resilience.deadline(0.2),
        pytest.raises((ProxyConnectionError, ReadTimeoutError, ConnectTimeoutError)),
    ):
        _list(client)


@pytest.mark.slow
def test_a_proxy_that_stalls_is_left(serve, dial, make_engine):
    """A proxy that never answers CONNECT costs the deadline."""
    proxy = serve(stalls)
    client = dial("https://nowhere.example:1", proxies={"https": proxy.url})
    with (
        resilience.deadline(0.2),
        pytest.raises((ProxyConnectionError, ReadTimeoutError, ConnectTimeoutError)),
    ):
        _list(client)


@pytest.mark.slow
@pytest.mark.parametrize("script", [stalls, answers], ids=["stalls", "answers"])
def test_a_proxy_over_tls(script, serve, dial, stalling_certificates):
    """TLS to the proxy keeps to the deadline too."""
    proxy = serve(script, tls=True)
    bundle, _ = stalling_certificates
    client = dial(
        "http://nowhere.example:1",
        proxies={"http": proxy.url},
        proxies_config={"proxy_ca_bundle": bundle},
    )
    with resilience.deadline(0.2 if script is stalls else 5):
        if script is stalls:
            with pytest.raises(ReadTimeoutError):
                _list(client)
        else:
            head(client)


@pytest.mark.slow
def test_tls_in_tls_keeps_to_the_deadline(serve, dial, stalling_certificates):
    """A tunnel through a TLS proxy is bounded by the socket below."""
    server = serve(accepts, tls=True)
    proxy = serve(relays(server), tls=True)
    client = dial(
        server.url,
        proxies={"https": proxy.url},
        proxies_config={"proxy_ca_bundle": stalling_certificates[0]},
    )
    # On a busy machine the time is over before there is something to read.
    late = (ReadTimeoutError, ConnectTimeoutError)
    with resilience.deadline(0.2), pytest.raises(late):
        _list(client)
