"""Servers on loopback that answer from a plan and write down what reached them.

What is compared between two runs is the wire as the server sees it, without what must
differ (signatures, dates, ids of one call).
"""

import hashlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import grpc


VARYING = {
    "amz-sdk-invocation-id",
    "authorization",
    "host",
    "user-agent",
    "x-amz-date",
    "x-amzn-trace-id",
}
ERROR = b"<Error><Code>InternalError</Code><Message>try again</Message></Error>"
MISSING = b"<Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"


class RecordingHttp:
    """An endpoint for S3, DynamoDB, SQS and Lambda that keeps what it was sent."""

    def __init__(self, *, fail_each=0, cut_each=0):
        self.seen = []
        self._fail_each, self._cut_each = fail_each, cut_each
        self._count = 0
        self._lock = threading.Lock()
        recorder = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # An answer in one packet, at once: else each waits for a delayed ACK.
            wbufsize = -1
            disable_nagle_algorithm = True

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except ConnectionError:
                    self.close_connection = True

            def log_message(self, *args):
                pass

            def answer(self):
                recorder.answer(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = answer  # noqa: N815 - http.server's names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request):
        """Write the request down, then answer as its path and target ask."""
        headers = {name.lower(): value for name, value in request.headers.items()}
        slow = headers.get("x-amz-meta-slow")
        if headers.get("expect") == "100-continue":
            request.send_response_only(100)
            request.end_headers()
            request.wfile.flush()
        body = self._read(request, int(headers.get("content-length", 0)), slow)
        kept = {k: v for k, v in headers.items() if k not in VARYING}
        # Retries of botocore carry the response's own clock; only its presence counts.
        sdk = kept.get("amz-sdk-request", "")
        kept["amz-sdk-request"] = ";".join(
            part.strip() for part in sdk.split(";") if "ttl=" not in part
        )
        with self._lock:
            self._count += 1
            count = self._count
            # A queue's address is in the body: each run has a port of its own.
            port = self.url.rpartition(":")[2].encode()
            digest = hashlib.sha256(body.replace(port, b"PORT")).hexdigest()
            self.seen.append(
                (request.command, request.path, sorted(kept.items()), digest)
            )
        if self._cut_each and count % self._cut_each == 0:
            request.close_connection = True
            request.connection.close()
            return
        status, reply = self._reply(request, headers, count)
        request.send_response(status)
        request.send_header("Content-Length", str(len(reply)))
        request.send_header("x-amz-request-id", "0123456789")
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(reply)

    def _read(self, request, length, slow):
        if not slow:
            return request.rfile.read(length)
        body, parts = b"", 20
        for _ in range(parts):
            time.sleep(float(slow) / parts)
            body += request.rfile.read(length // parts)
        return body + request.rfile.read(length - len(body))

    def _reply(self, request, headers, count):
        if self._fail_each and count % self._fail_each == 0:
            return 500, ERROR
        if "ReceiveMessage" in headers.get("x-amz-target", ""):
            time.sleep(6)
            return 200, b'{"Messages": []}'
        if "/invocations" in request.path:
            time.sleep(30)
            return 200, b'"done"'
        if "missing" in request.path:
            return 404, MISSING
        if "x-amz-target" in headers:
            return 200, b"{}"
        return 200, b"two shirts" if request.command == "GET" else b""

    def close(self):
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class RecordingGrpc:
    """shop.Cart over gRPC that keeps metadata, deadline and request of each call."""

    def __init__(self, *, fail_each=0):
        self.seen = []
        self._fail_each = fail_each
        self._lock = threading.Lock()
        unary = grpc.unary_unary_rpc_method_handler
        handlers = {
            "GetCart": unary(self._echo),
            "AddItem": unary(self._echo),
            "Charge": unary(self._echo),
            "Missing": unary(self._missing),
            "Slow": unary(self._slow),
            "Watch": grpc.unary_stream_rpc_method_handler(self._watch),
        }
        generic = grpc.method_handlers_generic_handler("shop.Cart", handlers)
        self._server = grpc.server(ThreadPoolExecutor(8), handlers=[generic])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def _record(self, name, request, context):
        left = context.time_remaining()
        metadata = sorted(
            (key, value)
            for key, value in context.invocation_metadata()
            if key != "user-agent"
        )
        # The seconds that are left vary by the moment; that there is a limit does not.
        has_deadline = left is not None and left < 1e9
        with self._lock:
            self.seen.append((name, request, metadata, has_deadline))
            if self._fail_each and len(self.seen) % self._fail_each == 0:
                context.abort(grpc.StatusCode.UNAVAILABLE, "try again")

    def _echo(self, request, context):
        self._record("echo", request, context)
        context.set_trailing_metadata((("k", "1"), ("k", "2")))
        return request

    def _missing(self, request, context):
        self._record("missing", request, context)
        context.abort(grpc.StatusCode.NOT_FOUND, "no such cart")

    def _slow(self, request, context):
        self._record("slow", request, context)
        time.sleep(30)
        return request

    def _watch(self, request, context):
        self._record("watch", request, context)
        for number in range(6):
            time.sleep(5)
            yield b"%d" % number

    def close(self):
        """Stop serving."""
        self._server.stop(None).wait()
