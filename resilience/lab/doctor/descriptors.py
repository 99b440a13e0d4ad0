"""What a client was compiled from against what the server says it serves.

Pure, but for `load`. Given are a FileDescriptorSet (`protoc --descriptor_set_out
--include_imports`, `buf build`) or an importable module that protoc made.
"""

# protobuf makes the classes of descriptor_pb2 at run time: no checker sees them.
# pyright: reportAttributeAccessIssue=false

import importlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from google.protobuf.descriptor_pb2 import (
    FileDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
    ServiceDescriptorProto,
)
from google.protobuf.message import DecodeError

from .finding import Finding
from .messages import Messages, differences


Services = dict[str, ServiceDescriptorProto]


def load(source: str | Path) -> FileDescriptorSet:
    """The descriptors in a file, or those of a generated module.

    Raises:
        ValueError: there are none.
    """
    path = Path(source)
    try:
        if path.is_file():
            found = FileDescriptorSet.FromString(path.read_bytes())
        else:
            module = importlib.import_module(str(source))
            found = FileDescriptorSet(
                file=[FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)]
            )
    except (OSError, DecodeError) as error:
        msg = f"{source} holds no FileDescriptorSet: {error}"
        raise ValueError(msg) from None
    except Exception as error:  # noqa: BLE001  a module may raise anything
        msg = (
            f"{source} is neither a file nor a module made by protoc "
            f"({type(error).__name__}: {error})"
        )
        raise ValueError(msg) from None
    if not any(file.service for file in found.file):
        msg = f"{source} describes no service"
        raise ValueError(msg)
    return found


def expected(given: FileDescriptorSet) -> tuple[Services, frozenset[str]]:
    """The services in *given*, and which of them a server must have.

    A file that others in the set import was probably added as an import; its services
    are compared only where the server has them.
    """
    imported = {name for file in given.file for name in file.dependency}
    services: Services = {}
    needed = set()
    for file in given.file:
        for service in file.service:
            name = _full(file.package, service.name)
            services[name] = service
            if file.name not in imported:
                needed.add(name)
    return services, frozenset(needed or services)


def compare(
    given: FileDescriptorSet,
    listed: Iterable[str],
    served: Mapping[str, FileDescriptorProto],
) -> Iterator[Finding]:
    """What the server lacks or has otherwise; *served* are its files by name."""
    ours, needed = expected(given)
    theirs = {
        _full(file.package, service.name): service
        for file in served.values()
        for service in file.service
    }
    names = set(listed)
    differs = False
    for name, service in sorted(ours.items()):
        if name not in names:
            if name in needed:
                differs = True
                yield _missing_service(name, names)
        elif name not in theirs:
            differs = True
            yield Finding(
                code="service-undescribed",
                level="problem",
                what=f"the server lists {name} and cannot describe it",
                remedy="register its descriptors in the server's pool",
            )
        else:
            for finding in _methods(name, service, theirs[name]):
                differs = True
                yield finding
    types = sorted(
        (method.input_type, method.output_type)
        for service in ours.values()
        for method in service.method
    )
    roots = dict.fromkeys(name for pair in types for name in pair)
    for finding in differences(roots, Messages(given.file), Messages(served.values())):
        differs = differs or finding.level == "problem"
        yield finding
    if not differs:
        yield Finding(
            code="descriptors-match",
            level="fact",
            what="the given descriptors agree with the server's",
            evidence=", ".join(sorted(names & ours.keys())),
        )


def _methods(
    name: str, ours: ServiceDescriptorProto, theirs: ServiceDescriptorProto
) -> Iterator[Finding]:
    served = {method.name: method for method in theirs.method}
    for method in ours.method:
        full = f"{name}/{method.name}"
        if method.name not in served:
            yield Finding(
                code="method-missing",
                level="problem",
                what=f"the server does not have the method {full}",
                evidence=f"it has {', '.join(sorted(served)) or 'none'}",
                cause="the server is older, or the method was renamed or removed",
                remedy="deploy the server first, or go back to the older client",
            )
        else:
            yield from _method(full, method, served[method.name])


def _method(
    full: str, ours: MethodDescriptorProto, theirs: MethodDescriptorProto
) -> Iterator[Finding]:
    if _kind(ours) != _kind(theirs):
        yield Finding(
            code="streaming-differs",
            level="problem",
            what=f"{full} is another kind of call at the server",
            evidence=f"here {_kind(ours)}, there {_kind(theirs)}",
            cause="the method was changed in place",
            remedy="give the new kind a new name; compile both sides from one file",
        )
    for which, here, there in (
        ("request", ours.input_type, theirs.input_type),
        ("response", ours.output_type, theirs.output_type),
    ):
        if here != there:
            yield Finding(
                code="type-differs",
                level="problem",
                what=f"{full} has another {which} type at the server",
                evidence=f"here {here.lstrip('.')}, there {there.lstrip('.')}",
                cause="the method was changed in place",
                remedy="compile both sides from one file",
            )
    here_level = ours.options.idempotency_level
    there_level = theirs.options.idempotency_level
    if here_level != there_level:
        promised = here_level != MethodOptions.IDEMPOTENCY_UNKNOWN
        named = MethodOptions.IdempotencyLevel.Name
        yield Finding(
            code="idempotency-differs",
            level="problem" if promised else "advice",
            what=f"{full} has another idempotency_level at the server",
            evidence=f"here {named(here_level)}, there {named(there_level)}",
            cause="retries here rely on a promise that the server does not make"
            if promised
            else "the server promises more than this client knows",
            remedy="compile both sides from one file",
        )


def _missing_service(name: str, listed: Iterable[str]) -> Finding:
    return Finding(
        code="service-missing",
        level="problem",
        what=f"the server does not have the service {name}",
        evidence=f"it lists {', '.join(sorted(listed)) or 'none'}",
        cause="another server or an older one, another package name, or the service "
        "was never added",
        remedy="check address and route, and what the server registers",
    )


def _kind(method: MethodDescriptorProto) -> str:
    request = "stream" if method.client_streaming else "unary"
    response = "stream" if method.server_streaming else "unary"
    return f"{request}-{response}"


def _full(package: str, name: str) -> str:
    return f"{package}.{name}" if package else name
