"""A refused call is a finished gRPC call and an error that callers already catch."""

import pickle

import grpc
import grpc.aio
import pytest

import resilience
from resilience.core.command import Rejection
from resilience.grpc import GrpcRejected
from resilience.grpc.aio import AioGrpcRejected


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        ("breaker-open", grpc.StatusCode.UNAVAILABLE),
        ("limiter", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("retry-budget", grpc.StatusCode.RESOURCE_EXHAUSTED),
        ("deadline", grpc.StatusCode.DEADLINE_EXCEEDED),
    ],
)
@pytest.mark.parametrize("kind", [GrpcRejected, AioGrpcRejected])
def test_a_rejection_is_a_complete_call(kind, reason, code):
    """Each reason has its status, and every method of a call answers."""
    error = kind.of(Rejection(reason, "cart", "breaker open", 2.5))
    called = []
    error.add_done_callback(called.append)

    assert code is error.code()
    assert error.details() == "breaker open"
    assert () == tuple(error.initial_metadata())
    assert (("grpc-retry-pushback-ms", "-1"),) == tuple(error.trailing_metadata())
    assert error.debug_error_string() == ""
    assert (True, False, False, False) == (
        error.done(),
        error.running(),
        error.cancelled(),
        error.cancel(),
    )
    assert not error.is_active()
    assert error.time_remaining() is None
    assert not error.add_callback(called.clear)
    assert [error] == called
    assert error.exception() is error
    with pytest.raises(kind) as raised:
        error.result()
    assert raised.value is error
    assert error.traceback() is not None


def test_a_rejection_is_caught_as_before():
    """Callers that catch grpc's errors, or ours, catch it."""
    rejection = Rejection("breaker-open", "cart", "open", None)

    assert isinstance(GrpcRejected.of(rejection), grpc.RpcError)
    assert isinstance(GrpcRejected.of(rejection), resilience.Rejected)
    assert isinstance(AioGrpcRejected.of(rejection), grpc.aio.AioRpcError)
    assert str(AioGrpcRejected.of(rejection)) == "open"


@pytest.mark.parametrize("kind", [GrpcRejected, AioGrpcRejected])
def test_a_rejection_survives_pickling(kind):
    """Worker pools send errors between processes."""
    error = kind.of(Rejection("breaker-open", "cart", "open", 1.5))
    copy = pickle.loads(pickle.dumps(error))

    assert (error.reason, error.scope, error.retry_after_s, str(error)) == (
        copy.reason,
        copy.scope,
        copy.retry_after_s,
        str(copy),
    )
