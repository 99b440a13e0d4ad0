"""OpenStack Swift with its S3 interface: four processes of one machine, started here.

Found by `SWIFT_BIN` (a folder), beside this Python, or on PATH; `pip install swift`
brings it. It is the second server, after moto, that judges conditions by code that we
have not written.
"""

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path


RINGS = ("account", "container", "object")
SERVERS = (*RINGS, "proxy")
COMMON = """
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
swift_dir = {folder}
user = {user}
devices = {folder}/srv
mount_check = false
disable_fallocate = true
fallocate_reserve = 0
log_level = ERROR
"""
RING = """
[pipeline:main]
pipeline = {name}-server
[app:{name}-server]
use = egg:swift#{name}
"""
FILTERS = (
    "catch_errors",
    "cache",
    "listing_formats",
    "s3api",
    "tempauth",
    "copy",
    "dlo",
    "slo",
    "versioned_writes",
    "symlink",
)
PROXY = """
[pipeline:main]
pipeline = {pipeline} proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:1
"""
ACCESS, SECRET = "test:tester", "testing"


def folder_of_programs():
    """Where Swift's programs are; None: nowhere."""
    places = [os.environ.get("SWIFT_BIN", ""), str(Path(sys.executable).parent)]
    found = shutil.which("swift-proxy-server", path=os.pathsep.join(places))
    found = found or shutil.which("swift-proxy-server")
    return None if found is None else Path(found).parent


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@contextlib.contextmanager
def running(folder, programs):
    """Run Swift in *folder*; gives its address."""
    ports = {name: free_port() for name in SERVERS}
    (folder / "srv" / "d1").mkdir(parents=True)
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_prefix = a\nswift_hash_path_suffix = b\n"
        "[storage-policy:0]\nname = one\ndefault = yes\n"
    )
    user = subprocess.run(
        ["id", "-un"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for name, port in ports.items():
        text = COMMON.format(port=port, folder=folder, user=user)
        if name == "proxy":
            text += PROXY.format(pipeline=" ".join(FILTERS))
            rest = [f for f in FILTERS if f not in ("tempauth", "cache")]
            text += "".join(f"[filter:{f}]\nuse = egg:swift#{f}\n" for f in rest)
        else:
            text += RING.format(name=name)
            make_ring(folder, programs, name, port)
        (folder / f"{name}.conf").write_text(text)
    processes = [
        subprocess.Popen(
            [programs / f"swift-{name}-server", folder / f"{name}.conf"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name in SERVERS
    ]
    try:
        for name in SERVERS:
            wait_for(ports[name])
        yield "127.0.0.1", ports["proxy"]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def make_ring(folder, programs, name, port):
    for words in (
        ["create", "4", "1", "0"],
        ["add", f"r1z1-127.0.0.1:{port}/d1", "1"],
        ["rebalance"],
    ):
        subprocess.run(
            [programs / "swift-ring-builder", f"{name}.builder", *words],
            cwd=folder,
            capture_output=True,
            check=False,  # a ring of one device is warned of by exit code 1
        )


def wait_for(port):
    """Wait until the server at *port* answers."""
    paused = threading.Event()
    for _ in range(400):
        inner = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            inner.request("GET", "/healthcheck")
            inner.getresponse().read()
        except OSError:
            paused.wait(0.05)
        else:
            return
        finally:
            inner.close()
    msg = f"Swift does not answer at port {port}"
    raise RuntimeError(msg)
