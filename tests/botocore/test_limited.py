"""A limit of one against a real HTTP server, through botocore."""

import threading

import pytest
from botocore.exceptions import BotoCoreError, ClientError

import resilience
from resilience.botocore.rejected import BotocoreRejected


WAIT_S = 20.0


def engine_of(limiter, **rules):
    """An engine on the machine's clock."""
    every = {"limiter": limiter, "breaker": "off", **rules}
    return resilience.PolicyEngine.from_dict(
        {"version": 1, "edition": "2026.11", "aws": {"all": every}}, sinks=[], seed=1
    )


def limiter_of(engine):
    (found,) = [one for scope in engine._scopes for one in scope.all_limiters]
    return found


class Held:
    """A plan that answers once it is let go."""

    def __init__(self):
        self.reached, self.let_go = threading.Event(), threading.Event()

    def __call__(self, _):
        self.reached.set()
        self.let_go.wait(WAIT_S)
        return 200, {}, b"{}"


@pytest.fixture
def held(wire):
    made = Held()
    wire.plans = [made]
    yield made
    made.let_go.set()


class Caller(threading.Thread):
    """One call on a thread of its own, and its end."""

    def __init__(self, call):
        super().__init__(daemon=True)
        self.call, self.error = call, None
        self.start()

    def run(self):
        try:
            self.call()
        except Exception as error:  # noqa: BLE001 - the test looks at it
            self.error = error

    def end(self):
        self.join(WAIT_S)
        assert not self.is_alive()
        return self.error


def until(condition):
    while not condition():
        threading.Event().wait(0.002)


def test_one_after_the_other(wire, connect, held):
    """The second call is sent when the first has ended, and not before."""
    with engine_of({"initial_limit": 1, "max_limit": 1, "max_wait": "20s"}) as engine:
        client = connect("dynamodb", engine)
        first = Caller(client.list_tables)
        assert held.reached.wait(WAIT_S)
        second = Caller(client.list_tables)
        until(lambda: limiter_of(engine).waiting)
        assert wire.count == 1
        held.let_go.set()

        assert (first.end(), second.end()) == (None, None)
        assert wire.count == 2
        assert (limiter_of(engine).in_flight, limiter_of(engine).late) == (0, 0)


def test_refused(wire, connect, held):
    """Where nothing may wait the second is refused unsent, and nobody repeats it."""
    with engine_of({"initial_limit": 1, "max_limit": 1, "max_wait": "off"}) as engine:
        client = connect("dynamodb", engine)
        first = Caller(client.list_tables)
        assert held.reached.wait(WAIT_S)
        with pytest.raises(BotoCoreError) as caught:
            client.list_tables()
        held.let_go.set()

        assert type(caught.value) is BotocoreRejected
        assert caught.value.reason == "limiter"
        assert resilience.report(caught.value).reason == "limiter"
        assert first.end() is None
        assert wire.count == 1


def test_a_long_poll_takes_no_place(wire, connect, held):
    """Who asks to wait for messages keeps nobody out."""
    with engine_of({"initial_limit": 1, "max_limit": 1, "max_wait": "off"}) as engine:
        client = connect("sqs", engine)
        poll = Caller(
            lambda: client.receive_message(QueueUrl="http://q/1/q", WaitTimeSeconds=20)
        )
        assert held.reached.wait(WAIT_S)
        client.list_queues()
        held.let_go.set()

        assert poll.end() is None
        assert limiter_of(engine).refused == 0


@pytest.mark.parametrize("status", [400, 500, "drop"])
def test_failures_give_the_place_back(wire, connect, status):
    """Whatever a call ends in, and however often it was tried."""
    body = b'{"__type": "ValidationException"}'
    plan = (400, {}, body) if status == 400 else status
    wire.plans = [plan] * 4
    with engine_of(
        {"initial_limit": 1, "max_limit": 1},
        retry={"initial_backoff": "1ms", "max_backoff": "2ms"},
    ) as engine:
        client = connect("dynamodb", engine)
        with pytest.raises((BotoCoreError, ClientError)):
            client.list_tables()

        assert (limiter_of(engine).in_flight, limiter_of(engine).late) == (0, 0)


def test_throttling_lowers_the_limit(wire, connect):
    """A service that says no to half of the calls gets fewer at once."""
    body = b'{"__type": "ThrottlingException"}'
    with engine_of({"initial_limit": 16, "max_wait": "5s"}, retry="off") as engine:
        client = connect("dynamodb", engine)
        started = engine.now()
        turn = threading.Lock()
        count = 0

        def answer(_):
            nonlocal count
            with turn:
                count += 1
                return (400, {}, body) if count % 2 else (200, {}, b"{}")

        wire.default = answer
        callers = []

        def work():
            while engine.now() - started < 0.3:
                try:
                    client.list_tables()
                except ClientError as error:
                    callers.append(error)

        threads = [Caller(work) for _ in range(8)]

        assert [one.end() for one in threads] == [None] * 8
        assert limiter_of(engine).limit < 16
        assert limiter_of(engine).in_flight == 0
