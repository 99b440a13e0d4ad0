"""A policy as gRPC's own service config, for clients that do not run this library.

What a service config cannot say is refused by name, or left out and named where nobody
wrote it. Import from here: `compile_service_config`, `ServiceConfig`.
"""

from .compiling import ServiceConfig, compile_service_config


__all__ = ["ServiceConfig", "compile_service_config"]
