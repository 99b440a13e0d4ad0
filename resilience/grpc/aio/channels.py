"""Asyncio channels from policy; see `resilience.grpc.channels`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from resilience.grpc.channels import options_for

from .channel import intercept_channel


if TYPE_CHECKING:
    from collections.abc import Sequence

    from resilience.engine import PolicyEngine


def insecure_channel(
    address: str,
    engine: PolicyEngine,
    *,
    target: str,
    options: Sequence[tuple[str, Any]] | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] | None = None,
) -> grpc.aio.Channel:
    """A channel without encryption, made and protected as the policy says.

    The arguments are those of `resilience.grpc.insecure_channel`; *interceptors* run
    for each attempt. Owned by the event loop that it is made on.
    """
    made = options_for(engine, target, options)
    channel = grpc.aio.insecure_channel(address, made, compression, interceptors)
    return intercept_channel(channel, engine, target=target, channel_options=made)


def secure_channel(
    address: str,
    credentials: grpc.ChannelCredentials,
    engine: PolicyEngine,
    *,
    target: str,
    options: Sequence[tuple[str, Any]] | None = None,
    compression: grpc.Compression | None = None,
    interceptors: Sequence[grpc.aio.ClientInterceptor] | None = None,
) -> grpc.aio.Channel:
    """The same with *credentials*; see `insecure_channel`."""
    made = options_for(engine, target, options)
    channel = grpc.aio.secure_channel(
        address, credentials, made, compression, interceptors
    )
    return intercept_channel(channel, engine, target=target, channel_options=made)
