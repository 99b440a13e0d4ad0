"""Waits for a place, on every driver: woken, not polled, and left when cancelled."""

import asyncio
import threading

import pytest

from resilience import PolicyEngine
from resilience.core.event import ARRIVED, AttemptDone
from resilience.core.outcome import OK
from resilience.core.target import Facts, Target
from resilience.drivers import aio, aio_hedged, threads
from resilience.drivers.callback import CallbackDriver
from resilience.drivers.host import HostLoop
from resilience.drivers.virtual import Reply, VirtualLoop
from resilience.grpc.server_waits import host_for
from resilience.inbound import CallerLeft, Inbound


LIMITER = {"initial_limit": 1, "max_limit": 1, "max_wait": "30s"}
TARGET = Target(protocol="grpc", name="cart", service="shop.Cart", method="Get")
SOON_S = 5.0
"""Far less than the wait that a lost wake-up would take."""


@pytest.fixture
def engine():
    """A real engine on the machine's clock: one place, thirty seconds to wait."""
    with PolicyEngine.from_dict(
        {
            "version": 1,
            "edition": "2026.11",
            "all": {"limiter": LIMITER, "retry": "off", "idempotency": "safe"},
            "grpc": {"methods": {"shop.Cart/Hedged": {"hedging": True}}},
        },
        sinks=[],
    ) as made:
        yield made


def call_of(engine, **facts):
    return engine.new_call(engine.bind(TARGET), Facts(**facts))


def occupy(engine):
    """Take the one place; what gives it back."""
    made = call_of(engine)
    made.advance(ARRIVED, engine.now())
    return lambda: made.advance(AttemptDone(1, OK), engine.now())


def limiter(engine):
    return engine.bind(TARGET).limiter


async def turns(until):
    """Let other tasks run until *until* says so."""
    while not until():  # noqa: ASYNC110 - the limiter has no event to wait for
        await asyncio.sleep(0)


def in_line(engine, count=1):
    """Wait, by looking, until so many stand in line: threads say nothing of it."""
    while limiter(engine).waiting < count:
        pass


# -- threads ------------------------------------------------------------------------


def test_a_thread_is_woken(engine):
    """It blocks while others hold the place, and starts when it is given up."""
    give_up, order = occupy(engine), []

    def attempt(_):
        order.append("attempt")
        return OK

    thread = threading.Thread(
        target=lambda: threads.run(call_of(engine), attempt, engine)
    )
    thread.start()
    in_line(engine)
    order.append("given up")
    give_up()
    thread.join(SOON_S)

    assert not thread.is_alive()
    assert order == ["given up", "attempt"]
    assert (limiter(engine).in_flight, limiter(engine).waiting) == (0, 0)


def test_threads_hand_the_place_on(engine):
    """Sixteen threads share one place: never two at once, and all get it."""
    lock, ends = threading.Lock(), []

    def attempt(_):
        assert lock.acquire(blocking=False)
        lock.release()
        return OK

    def work():
        ends.extend(
            threads.run(call_of(engine), attempt, engine).reason for _ in range(25)
        )

    made = [threading.Thread(target=work) for _ in range(16)]
    for thread in made:
        thread.start()
    for thread in made:
        thread.join(30)

    assert {*ends} == {"ok"}
    assert len(ends) == 400
    assert limiter(engine).in_flight == 0


def test_a_thread_of_a_caller_that_left(engine):
    """Who asked for the work leaves: the wait ends at once, and so does the line."""
    occupy(engine)
    served, caught = Inbound(), []

    def work():
        try:
            threads.run(call_of(engine), pytest.fail, host_for(engine, served))
        except CallerLeft as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    in_line(engine)
    served.leave()
    thread.join(SOON_S)

    assert len(caught) == 1
    assert limiter(engine).waiting == 0


def test_a_thread_in_virtual_time(host):
    """Where time is virtual the wait takes its time, and ends refused."""
    policy = {"limiter": {**LIMITER, "max_wait": "2s"}}
    first = host.call(policy)
    first.advance(ARRIVED, host.now())
    second = type(first)(first._binding, Facts(), "c-2", lambda: 0.5)
    host.wait = host.engine.wait
    finish = threads.run(second, pytest.fail, host)

    assert finish.reason == "limiter"
    assert host.clock.sleeps == [2.0]


# -- asyncio ------------------------------------------------------------------------


async def answer(_):
    return OK


@pytest.mark.parametrize("driver", [aio, aio_hedged], ids=["plain", "hedged"])
def test_a_task_is_woken(engine, driver):
    """It suspends while others hold the place; no thread is made for it."""
    before = {*threading.enumerate()}

    async def main():
        give_up = occupy(engine)
        task = asyncio.create_task(driver.run(call_of(engine), answer, engine))
        await turns(lambda: limiter(engine).waiting)
        give_up()
        return await asyncio.wait_for(task, SOON_S)

    assert asyncio.run(main()).reason == "ok"
    assert {*threading.enumerate()} <= before
    assert limiter(engine).in_flight == 0


def test_a_task_is_woken_by_a_thread(engine):
    """Blocking and asyncio calls share a place: who gives it up wakes the loop."""

    async def main():
        give_up = occupy(engine)
        task = asyncio.create_task(aio.run(call_of(engine), answer, engine))
        await turns(lambda: limiter(engine).waiting)
        await asyncio.to_thread(give_up)
        return await asyncio.wait_for(task, SOON_S)

    assert asyncio.run(main()).reason == "ok"


@pytest.mark.parametrize("is_placed", [False, True])
def test_a_cancelled_task_leaves_the_line(engine, is_placed):
    """Waiting, or placed and not yet running: the next one gets the place."""

    async def main():
        give_up = occupy(engine)
        gone = asyncio.create_task(aio.run(call_of(engine), answer, engine))
        await turns(lambda: limiter(engine).waiting == 1)
        task = asyncio.create_task(aio.run(call_of(engine), answer, engine))
        await turns(lambda: limiter(engine).waiting == 2)
        if is_placed:
            give_up()
        gone.cancel()
        if not is_placed:
            give_up()
        finish = await asyncio.wait_for(task, SOON_S)
        with pytest.raises(asyncio.CancelledError):
            await gone
        return finish

    assert asyncio.run(main()).reason == "ok"
    assert (limiter(engine).in_flight, limiter(engine).waiting) == (0, 0)


def test_a_loop_that_was_closed_holds_nobody_up(engine):
    """A waiter whose loop is gone cannot be woken: who gives the place up goes on."""
    give_up = occupy(engine)
    made = call_of(engine)
    made.advance(ARRIVED, engine.now())

    async def listen():
        loop = asyncio.get_running_loop()
        made.waiter.watch(lambda: loop.call_soon_threadsafe(print))

    asyncio.run(listen())
    give_up()

    assert made.waiter.place


# -- callbacks ----------------------------------------------------------------------


def test_a_future_is_woken_by_the_timer(engine):
    """Whoever gives the place up runs nothing of the other call on its thread."""
    give_up, started, ended = occupy(engine), threading.Event(), threading.Event()
    where = []

    def start(command):
        where.append(threading.current_thread().name)
        started.set()
        driver.done(command.number, OK)

    driver = CallbackDriver(
        call_of(engine), start, pytest.fail, lambda _: ended.set(), engine
    )
    driver.begin()
    assert not started.is_set()
    give_up()

    assert ended.wait(SOON_S)
    assert where == ["resilience-timer"]


def test_a_cancelled_future_leaves_the_line(engine):
    """It ends at once, and takes no place later."""
    give_up, ends = occupy(engine), []
    driver = CallbackDriver(
        call_of(engine), pytest.fail, pytest.fail, ends.append, engine
    )
    driver.begin()
    driver.cancel()
    give_up()

    assert [one.reason for one in ends] == ["cancelled"]
    assert (limiter(engine).in_flight, limiter(engine).waiting) == (0, 0)


# -- hosts that own the loop, and virtual time --------------------------------------


def test_a_host_loop_goes_on_when_it_is_woken(engine):
    """It is told to wait, and goes on at the moment it is woken, not at its end."""
    give_up = occupy(engine)
    made = call_of(engine)
    loop = HostLoop(made, engine)
    answered = loop.arrive()
    assert 29 < answered.wait_s <= 30
    give_up()
    moment = engine.now()

    assert loop.woke().start.number == 1
    assert made.started_at - moment < SOON_S


def test_virtual_time(engine):
    """The virtual loop wakes who waits at the very moment the place is given up."""
    loop, binding = VirtualLoop(), engine.bind(TARGET)

    def transport(*_):
        return Reply(OK, 0.25)

    calls = [loop.start(engine.new_call(binding, Facts()), transport) for _ in range(4)]
    loop.run()

    assert [call.starts[0][0] for call in calls] == [0.0, 0.25, 0.5, 0.75]
