"""What is private in botocore and relied on: pinned here for every version."""

import copy

import botocore
import pytest
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.retries.adaptive import ClientRateLimiter
from packaging.version import Version

from resilience.botocore.emitter import Slots, UnknownEmitter
from resilience.botocore.guard import guard_of
from resilience.botocore.timeouts import PER_REQUEST, bound_connecting


def handlers(events, name):
    return [*events._emitter._handlers.prefix_search(name)]


@pytest.fixture
def events():
    return EventAliaser(HierarchicalEmitter())


def test_a_wrapper_takes_the_very_place(events):
    """Replacing keeps the order, the unique id, and shows at the next event."""
    order = []
    for name in ("one", "two", "three"):
        events.register("e.s3", lambda n=name, **_: order.append(n), unique_id=name)
    slots = Slots(events)
    two = slots.named("two")
    events.emit("e.s3.Op")

    done = slots.replace("e.s3", two, lambda **_: order.append("new"))
    events.emit("e.s3.Op")

    assert done
    assert ["one", "two", "three", "one", "new", "three"] == order
    events.unregister("e.s3", unique_id="two")
    assert 2 == len(handlers(events, "e.s3.Op"))


def test_what_is_not_there_is_not_replaced(events):
    """A handler that was never registered has no place."""
    slots = Slots(events)

    assert not slots.replace("nothing.at.all", print, print)
    assert slots.named("nobody") is None
    assert [] == [*slots.of("nothing")]


def test_all_levels_are_found(events):
    """Handlers of one operation count as much as those of all."""
    events.register("needs-retry", lambda **_: 1)
    events.register_first("needs-retry.*.*", lambda **_: 2)
    events.register_last("needs-retry.s3.GetObject", lambda **_: 3)

    found = sorted(handler() for handler in Slots(events).of("needs-retry"))

    assert [1, 2, 3] == found


def test_an_unknown_inside_is_said():
    """Anything else than botocore's emitter is refused, not guessed at."""
    with pytest.raises(UnknownEmitter):
        Slots(object())


def test_an_unknown_memory_is_said(events):
    """An emitter that remembers found handlers elsewhere could go by old ones."""
    del events._emitter._lookup_cache

    with pytest.raises(UnknownEmitter):
        Slots(events)


def test_copies_keep_their_ids(events):
    """A wrapper in one copy of an emitter does not show in the others."""
    first, second = [lambda n=n, **_: n for n in range(2)]
    events.register("e.s3", first, unique_id="one")
    copied = copy.copy(events)
    Slots(copied).replace("e.s3", first, second)

    assert first is Slots(events).named("one")
    assert second is Slots(copied).named("one")


@pytest.mark.parametrize("mode", ["legacy", "standard", "adaptive"])
@pytest.mark.parametrize("service", ["s3", "dynamodb", "sqs"])
def test_the_place_of_botocores_handler(service, mode, connect, make_engine):
    """In each mode the retry handler sits where we look for it."""
    client = connect(service, make_engine(), mode=mode)
    before = handlers(client.meta.events, f"needs-retry.{service}.X")
    guard = guard_of(client, client._resilience_registration)
    after = handlers(client.meta.events, f"needs-retry.{service}.X")

    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert guard.takeover.native is changed[0][0]
    assert (2 if mode == "adaptive" else 1) == len(changed)
    limiters = [getattr(old, "__self__", None) for old, _ in changed[1:]]
    assert all(isinstance(one, ClientRateLimiter) for one in limiters)

    guard.remove()

    assert before == handlers(client.meta.events, f"needs-retry.{service}.X")


def test_disabled_native_retries(wire, connect, make_engine):
    """A client whose retry handler was taken away still has one owner: the engine."""
    client = connect("sqs", make_engine())
    client.meta.events.unregister("needs-retry.sqs", unique_id="retry-config-sqs")
    wire.plans = [500]

    client.list_queues()

    assert 2 == wire.count


def test_per_request_timeouts_are_botocores_own(connect):
    """The context key and the inner method that bound one request exist: 1.43.68."""
    client = connect("sqs")
    session = client._endpoint.http_session

    assert PER_REQUEST == (Version("1.43.68") <= Version(botocore.__version__))

    if not PER_REQUEST:
        assert not bound_connecting(client)
        return

    class Request:
        context = {"read_timeout": 3}  # noqa: RUF012 - a fake

    timeout = session._get_request_timeout(Request)

    assert 3 == timeout.read_timeout
    assert 60 == timeout.connect_timeout


def test_model_flags_are_where_we_look(connect):
    """`readonly` and `idempotent` are in the raw model that botocore's class keeps."""
    model = connect("sqs").meta.service_model.operation_model("ListQueues")

    assert "ListQueues" == model._operation_model["name"]
