"""A server that fails as it is told, connections that break, and a ledger of it all.

The ledger holds what each attempt of each call was sent; who called says how it ended,
and `Ledger.verdict` compares the two. Everything runs in this process, so that the
comparison needs no clock and no guess.
"""

import contextlib
import random
import select
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from concurrent import futures
from typing import Any, NamedTuple

import grpc


SUM, CHAT = "/replay.Upload/Sum", "/replay.Upload/Chat"
CALL = "x-call"
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


class Fault(NamedTuple):
    """What the server does with one attempt."""

    kind: str
    """`fail`: read some requests and fail; `early`: read some and answer them; `late`:
    answer some and fail; `ok`: answer all."""
    after: int = 0
    """Requests that are read before."""


OK = Fault("ok")


class Plan(NamedTuple):
    """One call: what is sent, how it is given, and what becomes of its attempts."""

    name: str
    messages: tuple[bytes, ...]
    faults: tuple[Fault, ...]
    """By attempt; those after the last are `OK`."""
    source: str
    """`fast`, `slow`, `broken` (it raises at its end)."""
    cancel_after_s: float | None


class Seen(NamedTuple):
    """One attempt as the server saw it."""

    uid: int
    fault: Fault
    received: list[bytes]


class Told(NamedTuple):
    """How a call ended for its caller."""

    answers: list[bytes]
    code: str
    details: str


class Ledger:
    """What was planned and what happened. Safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._plans: dict[str, Plan] = {}
        self._seen: dict[str, list[Seen]] = {}
        self._uid = 0

    def begin(self, plan: Plan) -> None:
        """A call by *plan* is about to be made."""
        with self._lock:
            self._plans[plan.name] = plan
            self._seen[plan.name] = []

    def attempt(self, name: str) -> Seen | None:
        """The server takes up another attempt of the call *name*."""
        with self._lock:
            plan = self._plans.get(name)
            if plan is None:
                return None  # a straggler of a call that is judged already
            earlier = self._seen[name]
            at = len(earlier)
            fault = plan.faults[at] if at < len(plan.faults) else OK
            self._uid += 1
            seen = Seen(self._uid, fault, [])
            earlier.append(seen)
            return seen

    def end(self, name: str) -> tuple[Plan, list[Seen]]:
        """The call is over; attempts that arrive later are not recorded."""
        with self._lock:
            return self._plans.pop(name), self._seen.pop(name)


def verdict(plan: Plan, attempts: list[Seen], told: Told, most_readers: int) -> str:
    """What is wrong with how a call went; empty: nothing is."""
    sent = list(plan.messages)
    if most_readers > 1:
        return f"{most_readers} attempts were inside the source at once"
    for seen in attempts:
        if seen.received != sent[: len(seen.received)]:
            return f"attempt {seen.uid} did not get the messages in order, each once"
    if not told.answers:
        fits = told.code != "OK" or not sent or _ended_early(attempts)
        return "" if fits else "a call that ended well has no answer"
    return _answer_verdict(sent, attempts, told)


def _answer_verdict(sent: list[bytes], attempts: list[Seen], told: Told) -> str:
    sources = {answer.split(b"|", 1)[0] for answer in told.answers}
    if len(sources) > 1:
        return f"the answer comes from {len(sources)} attempts"
    answering = [seen for seen in attempts if b"%d" % seen.uid in sources]
    if not answering:
        return "the answer comes from no attempt of this call"
    if answering[0] is not attempts[-1]:
        return "an attempt followed the one that had answered"
    whole = b"".join(sent)
    got = b"".join(answer.split(b"|", 1)[1] for answer in told.answers)
    if not whole.startswith(got):
        return "the answer is not what was sent"
    if told.code != "OK" or _ended_early(attempts):
        return ""
    if answering[0].received != sent:
        return f"{len(sent) - len(answering[0].received)} messages were lost"
    return "" if got == whole else "a part of the answer is missing"


def _ended_early(attempts: list[Seen]) -> bool:
    return bool(attempts) and attempts[-1].fault.kind == "early"


class FaultyServer:
    """Plays the plans of *ledger*; says GOAWAY to each connection now and then."""

    def __init__(self, ledger: Ledger, threads: int = 48) -> None:
        self._ledger = ledger
        # Connections grow old quickly: the goodbye meets calls at any point.
        options = [
            ("grpc.max_connection_age_ms", 400),
            ("grpc.max_connection_age_grace_ms", 400),
        ]
        self._pool = futures.ThreadPoolExecutor(threads)
        self._server = grpc.server(self._pool, options=options)
        methods = {
            "Sum": grpc.stream_unary_rpc_method_handler(self._sum),
            "Chat": grpc.stream_stream_rpc_method_handler(self._chat),
        }
        generic = grpc.method_handlers_generic_handler("replay.Upload", methods)
        self._server.add_generic_rpc_handlers((generic,))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        self._server.start()

    def stop(self) -> None:
        """Stop at once."""
        self._server.stop(None).wait()
        self._pool.shutdown()

    def _seen(self, context: Any) -> Seen:
        seen = self._ledger.attempt(dict(context.invocation_metadata())[CALL])
        if seen is None:
            context.abort(UNAVAILABLE, "the call is over")
        assert seen is not None
        return seen

    def _sum(self, requests: Iterator[bytes], context: Any) -> bytes:
        seen = self._seen(context)
        return b"%d|" % seen.uid + b"".join(_play(seen, requests, context))

    def _chat(self, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
        seen = self._seen(context)
        for answer in _play(seen, requests, context):
            yield b"%d|" % seen.uid + answer


def _play(seen: Seen, requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
    kind, after = seen.fault
    count = 0
    while kind == "ok" or count < after:
        try:
            request = next(requests)
        except StopIteration:
            break
        except grpc.RpcError:  # the client has left, or the connection
            return
        seen.received.append(request)
        count += 1
        if kind != "fail":
            yield request
    if kind in ("fail", "late"):
        context.abort(UNAVAILABLE, "planned")


class Cutter:
    """Passes connections on to *port*, and cuts some of them now and then."""

    def __init__(self, port: int, seed: int, every_s: float | None) -> None:
        """Listen on loopback.

        Args:
            port: of the server behind.
            seed: of the moments at which connections are cut.
            every_s: mean seconds between two cuts; None: nothing is cut.
        """
        self._port = port
        self._random = random.Random(seed)
        self._every_s = every_s
        self._lock = threading.Lock()
        self._open: dict[socket.socket, socket.socket] = {}
        self._closed = threading.Event()
        self.cuts = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept)]
        if every_s is not None:
            self._threads.append(threading.Thread(target=self._cut))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End everything."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()
        with self._lock:
            pairs = list(self._open.items())
        for pair in pairs:
            _break(pair, reset=False)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                front, _ = self._listener.accept()
                back = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            for one in (front, back):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                self._open[front] = back
            threading.Thread(target=self._pass, args=(front, back)).start()

    def _pass(self, front: socket.socket, back: socket.socket) -> None:
        try:
            self._copy({front: back, back: front})
        finally:
            with self._lock:
                self._open.pop(front, None)
            front.close()
            back.close()

    def _copy(self, other: dict[socket.socket, socket.socket]) -> None:
        with contextlib.suppress(OSError, ValueError):
            while not self._closed.is_set():
                ready, _, _ = select.select(list(other), [], [], 1.0)
                for one in ready:
                    data = one.recv(1 << 16)
                    if not data:
                        return
                    other[one].sendall(data)

    def _cut(self) -> None:
        assert self._every_s is not None
        while not self._closed.wait(self._random.expovariate(1 / self._every_s)):
            with self._lock:
                pairs = list(self._open.items())
            if pairs:
                self.cuts += 1
                _break(self._random.choice(pairs), reset=self._random.random() < 0.5)


def _break(pair: Sequence[socket.socket], *, reset: bool) -> None:
    with contextlib.suppress(OSError):
        if reset:
            linger = struct.pack("ii", 1, 0)
            pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        for one in pair:
            one.shutdown(socket.SHUT_RDWR)


def make_plan(chance: random.Random, number: int) -> Plan:
    """A call by *chance*: sizes, faults and manners."""
    name = str(number)
    draw = chance.random()
    if draw < 0.01:  # more messages than the buffer takes
        messages = [b"."] * chance.randint(1001, 1300)
    elif draw < 0.02:  # more bytes
        messages = [bytes([65 + n]) * 300_000 for n in range(chance.randint(4, 5))]
    else:
        count = chance.choice((0, 1, 2, 3, 5, 8, 13, 21))
        sizes = [chance.choice((0, 1, 30, 300, 3000)) for _ in range(count)]
        messages = [
            b"%s.%d/" % (name.encode(), n) + b"x" * s for n, s in enumerate(sizes)
        ]
    size = len(messages)
    faults = []
    for _ in range(chance.choice((0, 1, 1, 2, 3, 5))):
        kind = chance.choices(("fail", "late", "early"), (20, 1, 1))[0]
        after = chance.choice((0, size // 2, size, chance.randint(0, size)))
        faults.append(Fault(kind, after))
    source = chance.choices(("fast", "slow", "broken"), (12, 6, 1))[0]
    leaves = chance.random() < 0.06
    return Plan(
        name,
        tuple(messages),
        tuple(faults),
        source,
        chance.uniform(0, 0.02) if leaves else None,
    )
