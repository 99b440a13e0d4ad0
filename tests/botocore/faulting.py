"""A proxy that loses requests and answers by a plan; what it passes on is executed."""

import http.client
import http.server
import threading


UNSENT = ("before", "late", "500 before", "kill before")
"""Faults by which the server sees nothing."""


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        proxy = self.server.proxy
        body = self.read_body()
        operation = self.headers.get("x-amz-target", "").rpartition(".")[2]
        seen = (self.command, self.path, operation, dict(self.headers.items()), body)
        fault = proxy.next_fault(seen)
        if callable(fault):
            fault = fault()
        request = (self.command, self.path, body, self.headers)
        if fault == "late":
            proxy.late.append(request)
        if fault in proxy.answers:
            self.reply(*proxy.answers[fault])
        elif fault in UNSENT:
            self.lose(fault)
        else:
            answer = proxy.pass_on(*request)
            self.lose(fault) if fault else self.reply(*answer)

    def lose(self, fault):
        """Give no answer, or one that says nothing."""
        if fault.startswith("500"):
            self.reply(500, [], b"")
            return
        self.close_connection = True
        if fault.startswith("kill"):
            self.server.proxy.kill()
        elif fault == "hang":
            self.server.proxy.released.wait(5)
        elif fault == "during":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nx-amz-request-id: 1\r\ncontent-le")

    def read_body(self):
        if self.headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("content-length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def reply(self, status, headers, content):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"transfer-encoding", "content-length"}:
                self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def __getattr__(self, name):
        if name.startswith("do_"):
            return self.answer
        raise AttributeError(name)

    def log_message(self, *args):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """A client that was killed is what some tests are about."""


class FaultingProxy:
    """Stands before a server and plays the faults of `plan`, one for each write.

    A fault is "" (none), "before" (closed, not passed on), "after" (passed on, the
    answer is lost), "during" (half of it is lost), "hang" (it comes never, until
    `released`), "500 before", "500 after", "kill before" and "kill after" (by `kill`,
    which is to end the caller), "late" (closed; `deliver` passes it on),
    a name in `answers` (status, headers, body), or a function that returns one of
    these. Reads pass.
    """

    READS = ("GET", "HEAD")

    def __init__(self, behind):
        self.behind = behind
        self.plan = []
        self.answers = {}
        self.kill = None
        self.released = threading.Event()
        self.executed = []
        self.late = []
        self.seen = []
        self._lock = threading.Lock()
        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        ).start()

    def next_fault(self, seen):
        with self._lock:
            self.seen.append(seen)
            is_read = seen[0] in self.READS or seen[2].startswith(
                ("Get", "Describe", "List", "Query", "Scan")
            )
            return "" if is_read or not self.plan else self.plan.pop(0)

    def pass_on(self, command, path, body, headers):
        given = {k: v for k, v in headers.items() if k.lower() != "transfer-encoding"}
        given.pop("Expect", None)
        given["content-length"] = str(len(body))
        inner = http.client.HTTPConnection(*self.behind)
        try:
            inner.request(command, path, body, given)
            answer = inner.getresponse()
            target = headers.get("x-amz-target", "").rpartition(".")[2]
            self.executed.append((command, path, answer.status, target))
            return answer.status, answer.getheaders(), answer.read()
        finally:
            inner.close()

    def deliver(self):
        """Pass on what arrives late; the answers go nowhere."""
        while self.late:
            self.pass_on(*self.late.pop(0))

    def count(self, command, operation=""):
        return sum(s[0] == command and s[2] == operation for s in self.seen)

    def close(self):
        self._server.shutdown()
        self._server.server_close()


def make_table(client):
    """Make the table that tests write to."""
    client.create_table(
        TableName="t",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
