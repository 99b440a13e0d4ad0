"""Exceptions become statuses with rich details, where a map says so."""

import asyncio

import grpc
import pytest
from google.rpc import error_details_pb2 as rich
from google.rpc import status_pb2

import resilience
import resilience.grpc
from resilience.grpc.aio.server import server_interceptor as aio_server_interceptor
from resilience.grpc.errors import ErrorMap, Failure
from resilience.grpc.server import server_interceptor


Code = grpc.StatusCode
DETAILS = "grpc-status-details-bin"


class OutOfStock(LookupError):
    """An error of the application's own."""


def raising(error):
    def handler(request, context):
        raise error

    return handler


def details(error):
    """The details of a status by the names of their messages."""
    found = [p.value for p in error.trailing_metadata() if p.key == DETAILS]
    if not found:
        return {}
    status = status_pb2.Status.FromString(found[0])
    made = {}
    for packed in status.details:
        name = packed.TypeName().rpartition(".")[2]
        made[name] = getattr(rich, name)()
        packed.Unpack(made[name])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    return made


def test_the_nearest_class_counts(serve):
    """An entry stands for subclasses that have none of their own."""
    errors = ErrorMap().add(LookupError, Code.NOT_FOUND).add(ValueError, Code.ABORTED)

    _, error = serve(
        server_interceptor(errors=errors), uu=raising(OutOfStock("cup"))
    ).call()

    assert (Code.NOT_FOUND, "cup") == (error.code(), error.details())
    assert {} == details(error)


def test_without_an_entry_an_exception_ends_as_ever(serve):
    """A map changes nothing for what it does not name."""
    server = serve(server_interceptor(errors=ErrorMap()), uu=raising(OSError("cup")))

    _, error = server.call()

    assert (Code.UNKNOWN, "Exception calling application: cup") == (
        error.code(),
        error.details(),
    )


FAILURE = Failure(
    code=Code.RESOURCE_EXHAUSTED,
    message="too many cups",
    reason="CUPS",
    metadata={"cup": "blue"},
    retry_after_s=1.5,
    quota=(("user:7", "10 cups a day"),),
    fields=(("item.count", "more than 10"),),
)


def check_details(made):
    assert ("CUPS", "shop.example.com", {"cup": "blue"}) == (
        made["ErrorInfo"].reason,
        made["ErrorInfo"].domain,
        dict(made["ErrorInfo"].metadata),
    )
    assert 1500 == made["RetryInfo"].retry_delay.ToMilliseconds()
    assert "user:7" == made["QuotaFailure"].violations[0].subject
    assert "item.count" == made["BadRequest"].field_violations[0].field


@pytest.mark.parametrize("arity", ["uu", "us", "su", "ss"])
def test_a_function_gives_rich_details(serve, arity):
    """ErrorInfo, RetryInfo, QuotaFailure and BadRequest reach the client."""
    errors = ErrorMap(domain="shop.example.com").add(OutOfStock, lambda _: FAILURE)

    def fail(request, context):
        raise OutOfStock

    def fail_late(request, context):
        yield b"1"
        raise OutOfStock

    handler = fail_late if arity in ("us", "ss") else fail
    _, error = serve(server_interceptor(errors=errors), **{arity: handler}).call(arity)

    assert (Code.RESOURCE_EXHAUSTED, "too many cups") == (error.code(), error.details())
    check_details(details(error))


async def test_an_asyncio_server_does_the_same(serve_aio, start_aio):
    """Coroutines and synchronous handlers alike."""
    errors = ErrorMap(domain="shop.example.com").add(OutOfStock, lambda _: FAILURE)

    async def fail(request, context):
        await asyncio.sleep(0)
        raise OutOfStock

    for handler in (fail, raising(OutOfStock())):
        channel = await serve_aio(aio_server_interceptor(errors=errors), uu=handler)

        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await start_aio(channel, "uu")

        found = [v for k, v in caught.value.trailing_metadata() if k == DETAILS]
        assert Code.RESOURCE_EXHAUSTED is caught.value.code()
        if handler is fail:
            assert 4 == len(status_pb2.Status.FromString(found[0]).details)


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("breaker-open", Code.UNAVAILABLE),
        ("limiter", Code.RESOURCE_EXHAUSTED),
        ("retry-budget", Code.RESOURCE_EXHAUSTED),
        ("deadline", Code.DEADLINE_EXCEEDED),
    ],
)
def test_our_own_rejections_have_a_status(serve, reason, code):
    """A call that we refused says so, and when to ask again."""
    refused = resilience.Rejected(
        "no", reason=reason, scope="secret", retry_after_s=3.0
    )
    server = serve(server_interceptor(errors=ErrorMap()), uu=raising(refused))

    _, error = server.call()

    made = details(error)
    assert code is error.code()
    assert "secret" not in error.details()
    assert 3 == made["RetryInfo"].retry_delay.seconds
    assert "DEPENDENCY_REJECTED" == made["ErrorInfo"].reason


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (Code.INVALID_ARGUMENT, Code.INTERNAL),
        (Code.NOT_FOUND, Code.INTERNAL),
        (Code.UNAUTHENTICATED, Code.INTERNAL),
        (Code.UNAVAILABLE, Code.UNAVAILABLE),
        (Code.RESOURCE_EXHAUSTED, Code.UNAVAILABLE),
        (Code.DEADLINE_EXCEEDED, Code.DEADLINE_EXCEEDED),
    ],
)
def test_a_dependencys_status_is_not_passed_on_as_ours(serve, theirs, ours):
    """What was wrong with our request to somebody is not our caller's fault."""
    last = serve(uu=lambda request, context: context.abort(theirs, "secret"))
    inner = last.channel.unary_unary("/shop.Cart/uu")
    middle = serve(
        server_interceptor(errors=ErrorMap()), uu=lambda request, _: inner(request)
    )

    _, error = middle.call()

    assert ours is error.code()
    assert "secret" not in error.details()
    assert theirs.name == details(error)["ErrorInfo"].metadata["code"]


def test_an_entry_that_fails_changes_nothing(serve, caplog):
    """A broken map costs no answer: the exception stays as it is."""
    errors = ErrorMap().add(OutOfStock, lambda _: 1 / 0)
    ours = server_interceptor(errors=errors)

    _, error = serve(ours, uu=raising(OutOfStock("cup"))).call()

    assert Code.UNKNOWN is error.code()
    assert 1 == ours.counts().faults


def test_a_code_that_the_handler_set_is_kept(serve):
    """Whoever says what it is knows better than a table."""

    def fail(request, context):
        context.set_code(Code.DATA_LOSS)
        raise OutOfStock

    errors = ErrorMap().add(OutOfStock, Code.NOT_FOUND)

    _, error = serve(server_interceptor(errors=errors), uu=fail).call()

    assert Code.DATA_LOSS is error.code()


def test_wrong_entries_are_refused():
    """No exception becomes OK, and only exceptions can be mapped."""
    with pytest.raises(ValueError, match="OK"):
        ErrorMap().add(ValueError, Code.OK)
    with pytest.raises(TypeError, match="Exception"):
        ErrorMap().add(KeyboardInterrupt, Code.INTERNAL)


def test_a_map_may_start_empty():
    """Without what is built in, only what is added counts."""
    assert ErrorMap(built_in=False).failure_of(TimeoutError()) is None
    assert ErrorMap().failure_of(TimeoutError()).code is Code.DEADLINE_EXCEEDED
