"""README.md and docs/ say only what is true: their code blocks are run.

Each document is one story: its blocks share names and a temporary working folder, and
run in order, in one test. Python blocks are executed; they find two servers ready,
by the names `cart_address` (answers each call of shop.Cart with its request) and
`s3_url` (has the bucket "orders"). A YAML block that begins with `version:` must load
as a policy; one whose first line is a comment that names a file (`# resilience.yaml`)
is also written there, for the blocks after it.
"""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import grpc
import pytest
from moto.server import ThreadedMotoServer
from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser, SkipParser

import resilience


ROOT = Path(__file__).resolve().parents[1]
# The references that a tool writes have no blocks; tests/test_references.py has them.
DOCUMENTS = [
    path
    for path in (ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")))
    if "```python" in path.read_text() or "```yaml" in path.read_text()
]


class _YamlBlockParser(CodeBlockParser):
    language = "yaml"

    def evaluate(self, example: Example) -> None:
        text = str(example.parsed)
        named = re.match(r"# *([\w.-]+\.ya?ml)\b", text)
        if named:
            Path(named[1]).write_text(text)
        if re.search(r"^version:", text, re.MULTILINE):
            resilience.PolicyEngine.from_text(text).close()


@pytest.fixture
def cart_address():
    """A gRPC server whose every unary method of shop.Cart answers with its request."""

    class Echo(grpc.GenericRpcHandler):
        def service(self, details):
            if not details.method.startswith("/shop.Cart/"):
                return None
            return grpc.unary_unary_rpc_method_handler(lambda request, _: request)

    server = grpc.server(ThreadPoolExecutor(2), handlers=[Echo()])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def s3_url():
    """An S3 server with one bucket."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(
        Bucket="orders"
    )
    yield url
    server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_document(path, tmp_path, monkeypatch, cart_address, s3_url):
    """Every block of the document runs, in order."""
    monkeypatch.chdir(tmp_path)
    # boto3 keeps the machine's default session; a document gets its own.
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    parsers = [PythonCodeBlockParser(), _YamlBlockParser(), SkipParser()]
    document = Document.parse(str(path), *parsers)
    document.namespace.update(cart_address=cart_address, s3_url=s3_url)
    examples = list(document.examples())

    assert examples
    # A failing block raises with its path and line.
    for example in examples:
        example.evaluate()
