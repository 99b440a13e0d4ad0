"""Where a drill sits in an aiobotocore client: as in a blocking one, awaited."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import EndpointConnectionError

from resilience.botocore.drilled import WELL, Marked, Wire, headers
from resilience.botocore.drilled_answers import error_for, signed
from resilience.core.target import Target
from resilience.drilling.driving import adrive
from resilience.drilling.flow import End, Send
from resilience.drilling.model import Fault
from resilience.drilling.seam import Seam, answered

from . import native


def install(guard: Any, http: Any, seam: Seam) -> None:
    """Let *seam* at the calls of the client that *guard* protects."""
    wire = AioWire(http.send, guard, seam)
    vars(http)["send"] = wire.asend
    bare = guard.acall

    async def acall(
        name: str, params: Mapping[str, Any], *more: Any, **named: Any
    ) -> Any:
        with Marked(guard, seam, name, params):
            return await bare(name, params, *more, **named)

    vars(guard)["acall"] = acall


class AioWire(Wire):
    """What sends the requests of one client. Used by the tasks of one event loop."""

    async def asend(self, request: Any) -> Any:
        """Send *request*, with the fault that it meets; as aiobotocore's session.

        Raises:
            HTTPClientError: what aiobotocore raises, or the fault's.
        """
        target, fault = self.picked()
        if target is None:
            return await self.bare(request)
        if fault is None:
            response = await self.bare(request)
            if response.status_code < WELL:
                answered(target)
            return response
        return await self._ameet(request, target, fault)

    async def _ameet(self, request: Any, target: Target, fault: Fault) -> Any:
        seam, response, error = self.seam, None, None
        streams = bool(getattr(request, "stream_output", False))

        async def sent(_: Send) -> bool:
            nonlocal response, error
            try:
                response = await self.bare(request)
            except Exception as raised:  # noqa: BLE001 - aiobotocore's, raised again
                error = raised
                return False
            if response.status_code < WELL:
                answered(target)
            return True

        flow = seam.flow(fault, self.limit_s(request), streams=streams)
        end = await adrive(seam, flow, sent)
        if error is not None:
            raise error
        if end == "native":
            return response
        if end == "cut" and response is not None and break_off(seam, response):
            return response
        if response is not None and streams:
            await native.close(response.raw)
        if end == "status":
            status, given, body = self.status(fault)
            made = native.awsrequest.AioAWSResponse(
                request.url, status, headers(given), None
            )
            made._content = body
            return made
        raise _error_for(seam, end, request)


def break_off(seam: Seam, response: Any) -> bool:
    """Let the body of *response* break when it is read; False: it is not aiohttp's."""
    content: Any = getattr(response.raw, "content", None)
    if not hasattr(content, "set_exception"):
        return False
    broken = native.aiohttp.ClientPayloadError(seam.words("Connection broken"))
    content.set_exception(broken)
    response.raw.close()
    return True


def _error_for(seam: Seam, end: End, request: Any) -> Exception:
    """The exception that stands for *end*, with the cause it has in aiobotocore."""
    if end != "refused":
        return error_for(seam, end, request)
    url = urlsplit(request.url)
    place = SimpleNamespace(host=url.hostname, port=url.port, ssl=False)
    refused = ConnectionRefusedError(111, seam.words("Connection refused"))
    error = native.aiohttp.ClientConnectorError(place, refused)
    made = EndpointConnectionError(endpoint_url=request.url, error=error)
    return signed(seam, made)
