"""A proxy that cuts and stalls where it is told, in answers and in requests.

It speaks just enough HTTP to know where bodies begin. `fault` is asked for each
request and says what happens to it: None, or a `Fault`.
"""

import contextlib
import socket
import struct
import threading
from typing import NamedTuple


BLOCK = 64 * 1024


class Fault(NamedTuple):
    """What happens to one exchange."""

    kind: str
    """fin, rst, stall; lose (all is done, the answer is not sent), hush (the same, and
    nothing is closed)."""
    after: int = 0
    """Bytes of the body that pass before."""
    where: str = "down"
    """down: in the answer's body; up: in the request's."""


class Request(NamedTuple):
    """The head of a request as the proxy saw it."""

    method: str
    path: str
    headers: dict


class CutOff(Exception):
    """The exchange ends here, as told or because a side is gone."""


class CuttingProxy:
    """Listens on loopback, passes on to *behind*, counts."""

    def __init__(self, behind, fault=lambda _: None):
        self.behind = behind
        self.fault = fault
        self.seen = []
        self.faults = 0
        self.down = 0
        """Bytes of answers' bodies that were sent to the client."""
        self.over = threading.Event()
        self._lock = threading.Lock()
        self._open = set()
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self, method, path=""):
        return len([r for r in self.seen if r.method == method and path in r.path])

    def close(self):
        self.over.set()
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        with self._lock:
            for sock in self._open:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)

    def _accept(self):
        while not self.over.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, client):
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BLOCK)
        with self._lock:
            self._open.add(client)
        try:
            with client, client.makefile("rb") as reader:
                while self._exchange(client, reader):
                    pass
        except (CutOff, OSError, ValueError):
            pass
        finally:
            with self._lock:
                self._open.discard(client)

    def _exchange(self, client, reader):
        head, headers = _head(reader)
        if not head:
            return False
        method, path, _ = head.decode().split(" ", 2)
        request = Request(method, path, headers)
        with self._lock:
            self.seen.append(request)
            fault = self.fault(request)
            self.faults += fault is not None
        if headers.pop("expect", None):
            client.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        length = int(headers.get("content-length") or 0)
        with socket.create_connection(self.behind) as server:
            lines = [f"{method} {path} HTTP/1.1"]
            lines += [f"{k}: {v}" for k, v in headers.items() if k != "connection"]
            lines += ["connection: close", "", ""]
            server.sendall("\r\n".join(lines).encode("latin-1"))
            up = fault if fault is not None and fault.where == "up" else None
            self._pass(reader, server, length, up, client, counted=False)
            with server.makefile("rb") as answer:
                down = fault if fault is not None and fault.where == "down" else None
                return self._answer(client, answer, method, down)

    def _answer(self, client, answer, method, fault):
        head, headers = _head(answer)
        if not head:
            return False
        if fault is not None and fault.kind in {"lose", "hush"}:
            if fault.kind == "hush":
                self.over.wait(60)
            raise CutOff
        lines = [head.decode("latin-1")]
        lines += [f"{k}: {v}" for k, v in headers.items() if k != "connection"]
        client.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        if method == "HEAD" or b" 204 " in head or b" 304 " in head:
            return True
        length = int(headers.get("content-length") or 0)
        self._pass(answer, client, length, fault, client, counted=True)
        return "content-length" in headers

    def _pass(self, source, sink, length, fault, client, *, counted):
        left = length if fault is None else min(length, fault.after)
        while left:
            block = source.read1(min(BLOCK, left))
            if not block:
                raise CutOff
            sink.sendall(block)
            left -= len(block)
            if counted:
                with self._lock:
                    self.down += len(block)
        if fault is None:
            return
        if fault.kind == "stall":
            self.over.wait(60)
        elif fault.kind == "rst":
            linger = struct.pack("ii", 1, 0)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        raise CutOff


def _head(reader):
    """The first line and the headers, their names in lower case."""
    head = reader.readline().rstrip(b"\r\n")
    headers = {}
    while head:
        line = reader.readline().decode("latin-1").rstrip("\r\n")
        if not line:
            break
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return head, headers
