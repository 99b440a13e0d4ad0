"""A server that stalls by a script: threads of this process, plain and over TLS.

A script is a function of a `Peer`, run for each connection in a thread of its own. All
waiting is on the server's end, so that closing the server ends every script.
"""

import contextlib
import socket
import ssl
import threading


SIZE = 4096


class Gone(Exception):
    """The client, or the server's time, is over."""


class Peer:
    """One connection as its script sees it."""

    def __init__(self, sock, server):
        self.sock = sock
        self.server = server

    def handshake(self):
        """Set up TLS where the server speaks it."""
        if self.server.context is not None:
            self.sock = self.server.context.wrap_socket(self.sock, server_side=True)

    def request(self, *, body=True):
        """Read a request; return its head. None when the client closed."""
        got = b""
        while b"\r\n\r\n" not in got:
            more = self.sock.recv(SIZE)
            if not more:
                return None
            got += more
        head, _, rest = got.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        self.server.seen.append(lines)
        length = next(
            (int(x[15:]) for x in lines if x.lower().startswith("content-length:")), 0
        )
        while body and len(rest) < length:
            more = self.sock.recv(SIZE)
            if not more:
                return None
            rest += more
        return lines

    def send(self, data):
        self.sock.sendall(data)

    def drip(self, data, every_s=0.02):
        """Send byte after byte, for ever slow."""
        for byte in data:
            self.send(bytes([byte]))
            self.rest(every_s)

    def rest(self, seconds):
        if self.server.over.wait(seconds):
            raise Gone

    def stall(self):
        """Do nothing, as long as the server lives."""
        self.server.over.wait(60)
        raise Gone


class StallingServer:
    """Listens on loopback; `script` may be exchanged between connections."""

    def __init__(self, script, context=None):
        self.script = script
        self.context = context
        self.seen = []
        self.connections = 0
        self.over = threading.Event()
        self._sock = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._sock.getsockname()[1]
        scheme = "http" if context is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._open = set()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._sock.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        peer = Peer(sock, self)
        self._open.add(peer)
        with contextlib.suppress(Gone, OSError, ssl.SSLError):
            self.script(peer)
        self._open.discard(peer)
        with contextlib.suppress(OSError):
            peer.sock.close()

    def close(self):
        self.over.set()
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()
        self._thread.join(1)
        for peer in list(self._open):
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)


class Unreachable:
    """An address whose queue of connections is full: connecting hangs."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._fillers = [socket.socket() for _ in range(8)]
        for filler in self._fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", self.port))

    def close(self):
        for one in (*self._fillers, self._listener):
            one.close()
