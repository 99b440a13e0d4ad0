"""Servers that are no gRPC servers at all: they answer what they read with bytes."""

import contextlib
import socket
import ssl
import threading
from typing import Self


class Lines:
    """Listens on loopback, reads once from each connection, answers, and closes.

    *reads* False: it closes at once. *answer* None: it never says anything.
    """

    def __init__(
        self,
        answer: bytes | None,
        *,
        reads: bool = True,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._answer = answer
        self._reads = reads
        self._tls = tls
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(
                    target=self._serve, args=(connection,), daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if not self._reads:
                return
            if self._tls is not None:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection:
                connection.recv(4096)
                if self._answer is not None:
                    connection.sendall(self._answer)
                while self._answer is None and connection.recv(4096):
                    pass
