"""Puts our wrapper around each channel that a test makes, in its own process too.

Python imports this file at its start where its folder is on the path; which wrapper it
is stands in CONFORMANCE_GRPC (`wrapper:enforce`, `interceptor:observe`, `pass`; empty
for bare). A failure here ends the process: a run that is not hooked proves nothing.
"""

import functools
import os
import sys
import traceback


MADE = [0]
"""Channels that were made in this process."""


def _install() -> None:
    import grpc
    import grpc.aio
    import grpc.aio._channel as aio_channel
    import grpc.experimental.aio as experimental
    import grpc_wrapping

    around = grpc_wrapping.chosen(os.environ.get("CONFORMANCE_GRPC", ""))
    for name, position in (("insecure_channel", 3), ("secure_channel", 4)):
        setattr(grpc, name, _blocking(getattr(grpc, name), around))
        made = _asyncio(getattr(aio_channel, name), around, position)
        for module in (aio_channel, grpc.aio, experimental):
            setattr(module, name, made)


def _blocking(native, around):
    @functools.wraps(native)
    def make(*args, **others):
        MADE[0] += 1
        return around.channel(native(*args, **others))

    return make


def _asyncio(native, around, position):
    @functools.wraps(native)
    def make(*args, **others):
        MADE[0] += 1
        ours = around.aio_interceptors()
        if ours:
            args = list(args)
            if len(args) > position:
                args[position] = [*ours, *(args[position] or ())]
            else:
                others["interceptors"] = [*ours, *(others.get("interceptors") or ())]
        return around.aio_channel(native(*args, **others))

    return make


if "CONFORMANCE_GRPC" in os.environ:
    try:
        _install()
    except Exception:  # noqa: BLE001 - whatever it is, nothing may run unhooked
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(97)
