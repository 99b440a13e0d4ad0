"""Clients in children of a process: run as a program by test_forks, a way each.

Prints, as JSON, the attempts of each failed call that children made.
"""

import json
import multiprocessing
import os
import sys
import threading

import boto3
from botocore.exceptions import ClientError

import resilience
import resilience.botocore
from resilience.botocore.making import making


POLICY = {
    "version": 1,
    "name": "t",
    "aws": {
        "all": {
            "retry": {"max_attempts": 2, "initial_backoff": "1ms"},
            "breaker": "off",
        }
    },
}


def make_session():
    session = boto3.Session("k", "s", region_name="us-east-1")
    engine = resilience.PolicyEngine.from_dict(POLICY, sinks=[])
    resilience.botocore.register(session, engine)
    return session


def attempts(client):
    """Return how many attempts one failing call made."""
    try:
        client.list_queues()
    except ClientError as error:
        return len(resilience.report(error).attempts)
    return 0


def in_child(function):
    """Return what *function* returns in the child of a fork."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, json.dumps(function()).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read) as file:
        text = file.read()
    os.waitpid(pid, 0)
    return json.loads(text)


def prefork(url):
    """Registered before the fork, with clients of before (used or not) and after."""
    session = make_session()
    used, idle = [session.client("sqs", endpoint_url=url) for _ in range(2)]
    found = [attempts(used)]

    def work():
        fresh = session.client("sqs", endpoint_url=url)
        return [attempts(client) for client in (used, idle, fresh)]

    for _ in range(2):
        found += in_child(work)
    return [*found, attempts(used)]


def busy(url):
    """A fork while another thread's call is under way: its answer comes afterwards."""
    session = make_session()
    client = session.client("sqs", endpoint_url=url)
    # What connecting imports is there before the fork: a child for ever waits for a
    # module whose import was under way in a thread that it has not got.
    "localhost".encode("idna")
    ended = []
    thread = threading.Thread(target=lambda: ended.append(attempts(client)))
    thread.start()
    sys.stdin.readline()  # the server has the request
    found = [in_child(lambda: attempts(client))]
    thread.join()
    return found + ended


def locked(url):
    """A fork while another thread takes a client over."""
    client = make_session().client("sqs", endpoint_url=url)
    taken, done = threading.Event(), threading.Event()

    def hold():
        with making():
            taken.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait()
    try:
        found = in_child(lambda: attempts(client))
    finally:
        done.set()
        thread.join()
    return [found]


_kept = []


def in_pool(url):
    """Make calls in a process of multiprocessing, with what it has and anew."""
    clients = [*_kept, make_session().client("sqs", endpoint_url=url)]
    return [attempts(client) for client in clients]


def pooled(url, way):
    _kept.append(make_session().client("sqs", endpoint_url=url))
    with multiprocessing.get_context(way).Pool(1) as pool:
        return pool.apply(in_pool, (url,))


def main(way, url):
    ways = {"prefork": prefork, "busy": busy, "locked": locked}
    found = ways[way](url) if way in ways else pooled(url, way)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
