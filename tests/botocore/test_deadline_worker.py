"""Calls in threads that can be left behind: what no socket of ours bounds."""

import contextvars
import threading
import time

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

import resilience
from resilience.botocore import BotocoreRejected, worker


OK = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def answers(peer):
    while peer.request(body=False):
        peer.send(OK)


def head(client):
    return client.head_object(Bucket="orders", Key="1")


@pytest.fixture
def gate():
    """An event that lets everything go when the test is over."""
    made = threading.Event()
    yield made
    made.set()


def left_behind():
    return worker._threads._left


def settle():
    """Wait until no thread is left behind."""
    until = time.monotonic() + 5
    with worker._threads._changed:
        worker._threads._changed.wait_for(
            lambda: worker._threads._left == 0, until - time.monotonic()
        )


@pytest.mark.slow
def test_a_credential_refresh_that_hangs_is_left(serve, dial, gate, sink):
    """The caller is back in time, nothing was sent, and nothing will be."""
    server = serve(answers)
    client = dial(server.url, workers=True)
    client.meta.events.register_first("request-created.s3", lambda **_: gate.wait(5))
    began = time.monotonic()

    with resilience.deadline(0.4), pytest.raises(BotocoreRejected) as caught:
        head(client)

    took = time.monotonic() - began
    assert took < 1
    assert "deadline" == caught.value.reason
    assert "nothing was sent" in str(caught.value)
    assert not resilience.report(caught.value).ambiguous
    gate.set()
    settle()
    assert [] == server.seen
    assert 1 == len(sink.of("CallEnded"))


@pytest.mark.slow
def test_a_repeat_that_hangs_leaves_the_real_error(serve, dial, gate):
    """When the second attempt is never signed, the first one's error is told."""

    def fails(peer):
        while peer.request(body=False):
            peer.send(b"HTTP/1.1 500 x\r\ncontent-length: 0\r\n\r\n")

    client = dial(serve(fails).url, workers=True)
    count = []

    def hang(**_):
        count.append(1)
        if len(count) == 2:
            gate.wait(5)

    client.meta.events.register_first("request-created.s3", hang)
    with resilience.deadline(0.5), pytest.raises(ClientError, match="500"):
        head(client)

    assert 2 == len(count)
    gate.set()
    settle()


@pytest.mark.slow
def test_a_handler_that_hangs_after_sending(serve, dial, gate):
    """Who hangs when the request is out leaves a call that may have been executed."""
    client = dial(serve(answers).url, workers=True)
    client.meta.events.register("before-parse", lambda **_: gate.wait(5))
    with resilience.deadline(0.4), pytest.raises(ReadTimeoutError) as caught:
        head(client)

    assert "deadline" == resilience.report(caught.value).reason
    gate.set()
    settle()


@pytest.mark.slow
def test_sockets_end_first(serve, dial):
    """A server that stalls ends in the thread, with the real error, none left."""

    def stalls(peer):
        peer.request()
        peer.stall()

    client = dial(serve(stalls).url, workers=True)
    with resilience.deadline(0.4), pytest.raises(ReadTimeoutError):
        head(client)

    settle()
    assert 0 == left_behind()


def test_without_a_deadline_no_thread(serve, dial):
    """A call that nothing bounds runs where it is made."""
    client = dial(serve(answers).url, workers=True)
    seen = []
    client.meta.events.register(
        "before-send", lambda **_: seen.append(threading.current_thread())
    )
    head(client)
    with resilience.deadline(5):
        head(client)

    assert threading.current_thread() is seen[0]
    assert "resilience-call" == seen[1].name


def test_off_unless_asked(serve, dial):
    """By default every call runs in its caller's thread."""
    client = dial(serve(answers).url)
    seen = []
    client.meta.events.register(
        "before-send", lambda **_: seen.append(threading.current_thread())
    )
    with resilience.deadline(5):
        head(client)

    assert [threading.current_thread()] == seen


def test_context_goes_along(serve, dial):
    """Handlers see the caller's context variables; threads are used again."""
    word = contextvars.ContextVar("word")
    word.set("mine")
    client = dial(serve(answers).url, workers=True)
    seen = []
    client.meta.events.register(
        "before-send",
        lambda **_: seen.append((word.get(), threading.current_thread().ident)),
    )
    with resilience.deadline(5):
        head(client)
        head(client)

    (first, second) = seen
    assert first == second == ("mine", first[1])


def test_errors_come_back(serve, dial):
    """What a call raises in its thread is raised where it was made."""

    def missing(peer):
        while peer.request(body=False):
            peer.send(b"HTTP/1.1 404 x\r\ncontent-length: 0\r\n\r\n")

    client = dial(serve(missing).url, workers=True)
    with resilience.deadline(5), pytest.raises(ClientError, match="404") as caught:
        head(client)

    assert 1 == len(resilience.report(caught.value).attempts)


def test_without_threads_the_call_is_made_here(serve, dial, monkeypatch):
    """A process that can have no more threads has soft deadlines, not errors."""

    def refuse(_):
        raise RuntimeError

    client = dial(serve(answers).url, workers=True)
    monkeypatch.setattr(worker, "_threads", worker._Threads())
    monkeypatch.setattr(worker._Threads, "start", lambda self, job: refuse(job))
    with resilience.deadline(5):
        answer = head(client)

    assert 200 == answer["ResponseMetadata"]["HTTPStatusCode"]


@pytest.mark.slow
def test_threads_left_behind_are_bounded(serve, dial, gate, monkeypatch):
    """When too many threads hang, a further call waits for a place, in time."""
    monkeypatch.setattr(worker, "MOST", 1)
    server = serve(answers)
    client = dial(server.url, workers=True)
    client.meta.events.register_first("request-created.s3", lambda **_: gate.wait(5))
    for _ in range(2):
        with resilience.deadline(0.1), pytest.raises(BotocoreRejected):
            head(client)

    assert 1 == left_behind()
    gate.set()
    settle()
    with resilience.deadline(5):
        head(client)
    assert 1 == len(server.seen)
