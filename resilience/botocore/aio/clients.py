"""What is put in front of aiobotocore's clients, those to come and those that exist."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from resilience.botocore import failover_awaited
from resilience.botocore.guard import ATTRIBUTE, guard_of
from resilience.botocore.owners import CALL

from .guard import AioGuard
from .waits import bounded


if TYPE_CHECKING:
    from resilience.botocore.register import Registration


class ProtectedAioClient:
    """What a registered session puts in front of each client class that it makes."""

    _resilience_registration: "Registration"

    async def _make_api_call(
        self, operation_name: str, api_params: Mapping[str, Any]
    ) -> Any:
        native = super()._make_api_call  # type: ignore[misc]  # AioBaseClient's
        guard: Any = vars(self).get(ATTRIBUTE)
        if guard is None:
            registration = self._resilience_registration
            if registration.engine is None:
                return await native(operation_name, api_params)
            guard = guard_of(self, registration, AioGuard)
        return await guard.acall(operation_name, api_params, native)

    async def __aexit__(self, *error: object) -> Any:
        await failover_awaited.close(vars(self).get(ATTRIBUTE))
        return await super().__aexit__(*error)  # type: ignore[misc]  # AioBaseClient's

    async def close(self) -> Any:
        """As aiobotocore's own; clients that answered for it are closed, too."""
        await failover_awaited.close(vars(self).get(ATTRIBUTE))
        return await super().close()  # type: ignore[misc]  # AioBaseClient's

    def get_waiter(self, waiter_name: str) -> Any:
        """As aiobotocore's own, within the ambient deadline."""
        made = super().get_waiter(waiter_name)  # type: ignore[misc]  # AioBaseClient's
        return bounded(made, self._resilience_registration)


def put_around(
    guard: Any,
    native_call: Callable[[], Any],
    native_waiter: Callable[[], Any],
) -> None:
    """Have the calls and waiters of a client that exists go by way of *guard*.

    Args:
        guard: of that client, an `AioGuard`.
        native_call: finds what makes a call without us.
        native_waiter: finds what makes a waiter without us.
    """

    async def call(operation_name: str, api_params: Mapping[str, Any]) -> Any:
        return await guard.acall(operation_name, api_params, native_call())

    def get_waiter(waiter_name: str) -> Any:
        return bounded(native_waiter()(waiter_name), guard.registration)

    guard.put(CALL, call)
    guard.put("get_waiter", get_waiter)
