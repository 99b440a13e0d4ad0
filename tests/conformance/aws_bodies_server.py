"""A fast stand-in for S3 that costs its client nothing: one object, parts thrown away.

    python aws_bodies_server.py MEBIBYTES

Prints its port. It runs in a process of its own, so that the client's CPU time is the
client's.
"""

import base64
import re
import socket
import sys
import threading
import zlib


CREATED = (
    b"<InitiateMultipartUploadResult><UploadId>u</UploadId>"
    b"</InitiateMultipartUploadResult>"
)
COMPLETED = (
    b'<CompleteMultipartUploadResult><ETag>"e"</ETag></CompleteMultipartUploadResult>'
)


class Fast:
    """Serves one object of *size* bytes under every name."""

    def __init__(self, size):
        self.data = memoryview(bytes(range(256)) * (size // 256))
        crc = zlib.crc32(self.data).to_bytes(4, "big")
        self.checksum = base64.b64encode(crc).decode()

    def serve(self, sock):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with sock, sock.makefile("rb", 1 << 20) as reader:
            scratch = bytearray(1 << 20)
            try:
                while self._one(sock, reader, scratch):
                    pass
            except OSError:
                return

    def _one(self, sock, reader, scratch):
        head = reader.readline()
        if not head:
            return False
        headers = {}
        while (line := reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip()
        if headers.get("expect"):
            sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        left = int(headers.get("content-length", 0))
        view = memoryview(scratch)
        while left:
            left -= reader.readinto(view[: min(left, len(scratch))])
        method, path, _ = head.decode().split(" ")
        self._answer(sock, method, path, headers)
        return True

    def _answer(self, sock, method, path, headers):
        body, more, status = b"", 'etag: "e"\r\n', "200 OK"
        if method == "POST":
            body = CREATED if path.endswith("uploads") else COMPLETED
        elif method in {"GET", "HEAD"}:
            body = self.data
            found = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
            if found:
                first, last = int(found[1]), int(found[2] or len(self.data) - 1)
                body, status = self.data[first : last + 1], "206 Partial Content"
                more += f"content-range: bytes {first}-{last}/{len(self.data)}\r\n"
            else:
                more += f"x-amz-checksum-crc32: {self.checksum}\r\n"
        text = f"HTTP/1.1 {status}\r\n{more}content-length: {len(body)}\r\n\r\n"
        sock.sendall(text.encode())
        if method != "HEAD":
            sock.sendall(body)


def main():
    fast = Fast(int(sys.argv[1]) << 20)
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    print(listener.getsockname()[1], flush=True)
    while True:
        sock, _ = listener.accept()
        threading.Thread(target=fast.serve, args=(sock,), daemon=True).start()


if __name__ == "__main__":
    main()
