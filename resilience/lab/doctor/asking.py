"""Health and reflection, asked with grpcio over a channel like the application's.

The only calls that are made; each is answered from what the server already knows.
"""

# protobuf makes the classes of descriptor_pb2 at run time: no checker sees them.
# pyright: reportAttributeAccessIssue=false

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from resilience.grpc.table import row_for

from .finding import Finding
from .place import Place
from .wish import TimeLeft, Wish


# v1 has the messages of v1alpha under another name, so one set of classes serves both.
VERSIONS: Final = ("v1", "v1alpha")
_SERVING: Final = 1
_NOT_SERVING: Final = 2
_LATE: Final = "no answer in time; a hanging server, or too little time was given"
MAX_SYMBOLS: Final = 500
"""No more descriptors are asked for than this."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What the server says of itself."""

    services: tuple[str, ...]
    version: str
    """Of reflection; empty: the server has none."""
    error: Any = None
    """Why there is no list."""


def open_channel(place: Place, wish: Wish, *, is_secure: bool) -> Any:
    """A channel to the target, as the application would make it."""
    options: list[tuple[str, object]] = [("grpc.enable_retries", 0)]
    if wish.authority:
        options.append(("grpc.default_authority", wish.authority))
    if not is_secure:
        return grpc.insecure_channel(place.target, options=options)
    if wish.authority:
        options.append(("grpc.ssl_target_name_override", wish.authority))
    credentials = grpc.ssl_channel_credentials(
        _read(wish.ca),
        private_key=_read(wish.key or wish.cert),
        certificate_chain=_read(wish.cert),
    )
    return grpc.secure_channel(place.target, credentials, options=options)


def ask_health(channel: Any, wish: Wish, time_left: TimeLeft) -> Finding:
    """What the health service says of the server, or of `wish.service`."""
    check = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    whose = wish.service or "the server"
    try:
        reply = check(
            health_pb2.HealthCheckRequest(service=wish.service),
            timeout=time_left.step_s(),
        )
    except grpc.RpcError as error:
        return _unhealthy(whose, error, is_named=bool(wish.service))
    if reply.status == _SERVING:
        return Finding(
            code="health-serving", level="fact", what=f"{whose} says that it is serving"
        )
    said = "NOT_SERVING" if reply.status == _NOT_SERVING else str(reply.status)
    return Finding(
        code="health-not-serving",
        level="problem",
        what=f"{whose} says that it is not serving",
        evidence=f"grpc.health.v1.Health/Check: {said}",
        cause="it starts, drains, or misses something that it depends on",
        remedy="look at the server's log",
    )


def list_services(channel: Any, time_left: TimeLeft) -> Listed:
    """The services that the server lists by reflection, v1 before v1alpha."""
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    error = None
    for version in VERSIONS:
        try:
            for reply in _reflect(channel, version, [request], time_left):
                rows = reply.list_services_response.service
                return Listed(tuple(sorted(row.name for row in rows)), version)
        except grpc.RpcError as raised:
            error = raised
    return Listed((), "", error)


def describe(
    channel: Any, version: str, symbols: Iterable[str], time_left: TimeLeft
) -> dict[str, FileDescriptorProto]:
    """The server's descriptors of *symbols* and of all that those files import.

    A symbol that the server cannot describe is left out.
    """
    files: dict[str, FileDescriptorProto] = {}
    asked: set[str] = set()
    requests = [
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
        for symbol in symbols
    ][:MAX_SYMBOLS]
    while requests:
        try:
            for reply in _reflect(channel, version, requests, time_left):
                for data in reply.file_descriptor_response.file_descriptor_proto:
                    made = FileDescriptorProto.FromString(data)
                    files[made.name] = made
        except grpc.RpcError:
            return files
        wanted = {name for made in files.values() for name in made.dependency}
        asked |= {request.file_by_filename for request in requests}
        requests = [
            reflection_pb2.ServerReflectionRequest(file_by_filename=name)
            for name in sorted(wanted - files.keys() - asked)
        ][:MAX_SYMBOLS]
    return files


def listed_in_words(listed: Listed) -> Finding:
    """What the list of services, or its absence, means."""
    if listed.version:
        return Finding(
            code="services-listed",
            level="fact",
            what=f"the server lists {len(listed.services)} services by reflection "
            f"({listed.version})",
            evidence=", ".join(listed.services),
        )
    code = _code(listed.error)
    if code in ("UNIMPLEMENTED", "OK"):
        return Finding(
            code="no-reflection",
            level="fact",
            what="the server has no reflection: its services cannot be listed",
            remedy="to have them listed, add grpcio-reflection to the server",
        )
    return _failed("reflection", "reflection-failed", listed.error)


def _reflect(
    channel: Any, version: str, requests: list[Any], time_left: TimeLeft
) -> Iterator[Any]:
    ask = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    replies: Iterator[Any] = ask(iter(requests), timeout=time_left.step_s())
    return replies


def _unhealthy(whose: str, error: Any, *, is_named: bool) -> Finding:
    code = _code(error)
    if code == "UNIMPLEMENTED":
        return Finding(
            code="no-health-service",
            # Not needed, but where a service was named an answer was.
            level="problem" if is_named else "fact",
            what="the server has no health service",
            remedy="with grpcio-health-checking it could tell clients and balancers "
            "when it is not ready",
        )
    if code == "NOT_FOUND":
        return Finding(
            code="health-unknown-service",
            level="problem",
            what=f"the health service knows nothing of {whose}",
            evidence=_said(error),
            cause="another spelling, or the server reports under other names",
            remedy="check --service; an empty one asks for the server as a whole",
        )
    return _failed("health", "health-failed", error)


def _failed(which: str, code: str, error: Any) -> Finding:
    status = _code(error)
    if status in ("UNAUTHENTICATED", "PERMISSION_DENIED"):
        return Finding(
            code="credentials-demanded",
            level="advice",
            what=f"{which} is answered only to callers with credentials",
            evidence=_said(error),
        )
    row = row_for(status, error.details() or "")
    late = status == "DEADLINE_EXCEEDED"
    return Finding(
        code=code,
        level="problem",
        what=f"asking for {which} failed",
        evidence=_said(error),
        cause=_LATE if late else row.cause,
        remedy="look at the server, or give more time" if late else row.remedy,
    )


def _code(error: Any) -> str:
    return "OK" if error is None else str(error.code().name)


def _said(error: Any) -> str:
    return f"{_code(error)} {error.details() or ''}".strip()


def _read(path: Path | None) -> bytes | None:
    return None if path is None else path.read_bytes()
