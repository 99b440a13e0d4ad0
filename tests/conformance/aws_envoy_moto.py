"""moto's server, with a ledger: one line for each request that it executed.

    python aws_envoy_moto.py PORT LEDGER

A line is what botocore names a call by (`amz-sdk-invocation-id`, the same over its
attempts), the operation, and the status. So executions are counted where they happen,
whoever hears of them.
"""

import logging
import sys
import threading
from pathlib import Path

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server


class Ledger:
    """A WSGI application around another one."""

    def __init__(self, inner, path):
        self._inner = inner
        self._file = Path(path).open("a", buffering=1)  # noqa: SIM115 - while it serves
        self._lock = threading.Lock()

    def __call__(self, environ, start_response):
        call = environ.get("HTTP_AMZ_SDK_INVOCATION_ID", "-")
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        operation = operation or environ["REQUEST_METHOD"]

        def told(status, *rest):
            with self._lock:
                self._file.write(f"{call} {operation} {status[:3]}\n")
            return start_response(status, *rest)

        return self._inner(environ, told)


def main(port, path):
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    app = Ledger(DomainDispatcherApplication(create_backend_app), path)
    make_server("127.0.0.1", int(port), app, threaded=True).serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
