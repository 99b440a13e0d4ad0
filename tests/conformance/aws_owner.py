"""Who owns the retries of a client: counted at a server, in every mode.

    python aws_owner.py [--short]

A call fails at each attempt, and the server counts the requests. Whatever sets the
client's own retries (environment, config file, client config), however its session
came to be registered and whatever the policy says, there is one owner, and its number
of requests is made. Then calls inside calls and redirects: they work as in a bare
client, and cost no attempt of the call around them (aws_owner_nested.py).

Under botocore 1.43 all of it is run once more with AWS_NEW_RETRIES_2026. Exit code 1
when any count is another one.
"""

import argparse
import collections
import contextlib
import itertools
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import boto3
import botocore.configprovider
import botocore.endpoint
import botocore.session
from botocore.config import Config
from botocore.exceptions import ClientError


ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]

import aws_owner_nested

import resilience
import resilience.botocore
from tests.botocore.conftest import Clock, Wire


MODES = ("legacy", "standard", "adaptive")
WAYS = {"sqs": "list_queues", "dynamodb": "list_tables"}
PROFILES = (None, "aws-standard-2.1", "honour-client-config", "none")
OURS = {"sqs": 3, "dynamodb": 4}
"""Attempts of the built-in policy and of AWS's specification 2.1."""
PLAIN = 3
"""Attempts of every service without AWS's own values (`profile: none`)."""
NATIVE = {
    "old": {"legacy": (5, 10), "standard": (3, 3), "adaptive": (3, 3)},
    "new": {"legacy": (5, 10), "standard": (3, 4), "adaptive": (3, 4)},
}
"""botocore's own attempts for SQS and DynamoDB, before and since specification 2.1."""
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
FLAG = "AWS_NEW_RETRIES_2026"


def version():
    """Return botocore's version as numbers."""
    return tuple(int(part) for part in botocore.__version__.split("."))


def is_new():
    """Are botocore's numbers those of specification 2.1?"""
    knows_flag = hasattr(botocore.configprovider, "NEW_RETRIES_ENABLED")
    return version() >= (1, 44) or (knows_flag and os.environ.get(FLAG) == "true")


def sources():
    """Return {name: (environment, config file, client config, mode, attempts)}."""
    usual = "standard" if is_new() else "legacy"
    found = {"nothing": ({}, "", {}, usual, None)}
    for mode in MODES:
        found |= {
            f"{mode} by environment": ({"AWS_RETRY_MODE": mode}, "", {}, mode, None),
            f"{mode} by file": ({}, f"retry_mode={mode}\n", {}, mode, None),
            f"{mode} by client": ({}, "", {"mode": mode}, mode, None),
            f"{mode}, total_max_attempts 4": (
                {},
                "",
                {"mode": mode, "total_max_attempts": 4},
                mode,
                4,
            ),
            f"{mode}, max_attempts 4": (
                {},
                "",
                {"mode": mode, "max_attempts": 4},
                mode,
                5,
            ),
            f"{mode}, AWS_MAX_ATTEMPTS 2": (
                {"AWS_RETRY_MODE": mode, "AWS_MAX_ATTEMPTS": "2"},
                "",
                {},
                mode,
                2,
            ),
            f"{mode}, max_attempts 2 by file": (
                {},
                f"retry_mode={mode}\nmax_attempts=2\n",
                {},
                mode,
                2,
            ),
        }
    return found


class Place:
    """A server, and sessions whose clients reach it. Nothing is waited for."""

    def __init__(self):
        self.wire = Wire()
        self.wire.default = 500
        self._loader = botocore.session.Session().get_component("data_loader")
        self._folder = tempfile.TemporaryDirectory()
        self._file = Path(self._folder.name) / "config"
        botocore.endpoint.time = Timeless()

    def close(self):
        self.wire.close()
        self._folder.cleanup()

    @contextlib.contextmanager
    def surroundings(self, environment, text):
        """Have botocore read this environment and config file."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        flag = {k: v for k, v in os.environ.items() if k == FLAG}
        self._file.write_text(f"[default]\nregion=us-east-1\n{text}")
        before = dict(os.environ)
        os.environ.clear()
        os.environ.update(
            {
                **kept,
                **flag,
                **environment,
                "AWS_CONFIG_FILE": str(self._file),
                "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
                "AWS_EC2_METADATA_DISABLED": "true",
                **({} if "AWS_PROFILE" in environment else KEYS),
            }
        )
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)

    def session(self):
        """Return a boto3 session that reads what surrounds it."""
        inner = botocore.session.Session()
        inner.register_component("data_loader", self._loader)
        return boto3.Session(botocore_session=inner)

    def count(self, call):
        """Return how many requests a failing *call* makes."""
        self.wire.seen.clear()
        with contextlib.suppress(ClientError):
            call()
        return self.wire.count


class Timeless:
    """In the place of botocore's clock: its waits take no time."""

    def __getattr__(self, name):
        return getattr(time, name)

    def sleep(self, seconds):
        pass


# -- how a client comes to be registered: (place, engine, make) -> the client ----------
# `make(owner, method)` makes it: owner.client(...) or what else makes one. An engine of
# None: bare. A kind for asyncio belongs here, with a `count` that awaits.


def by_session(place, engine, make):
    """Make it by a boto3 session that is registered."""
    session = place.session()
    if engine is not None:
        resilience.botocore.register(session, engine)
    return make(session.client)


def by_default_session(place, engine, make):
    """Make it by `boto3.client`; the module is registered."""
    if engine is not None:
        resilience.botocore.register(boto3, engine)
    try:
        boto3.setup_default_session(botocore_session=place.session()._session)
        return make(boto3.client)
    finally:
        resilience.botocore.default_session.leave(boto3)
        boto3.DEFAULT_SESSION = None


def by_botocore_session(place, engine, make):
    """Make it by a session of botocore's that is registered."""
    inner = place.session()._session
    if engine is not None:
        resilience.botocore.register(inner, engine)
    return make(inner.create_client)


def by_itself(place, engine, make):
    """Register it when it has made calls already."""
    client = make(place.session().client)
    place.count(getattr(client, WAYS[client.meta.service_model.service_name]))
    if engine is not None:
        resilience.botocore.register(client, engine)
    return client


def by_resource(place, engine, make):
    """Register the resource that it is in."""
    resource = make(place.session().resource)
    if engine is not None:
        resilience.botocore.register(resource, engine)
    return resource.meta.client


KINDS = {
    "boto3 session": by_session,
    "boto3 itself": by_default_session,
    "botocore session": by_botocore_session,
    "existing client": by_itself,
    "resource": by_resource,
}


def engine_of(profile, mode):
    """Return an engine whose waits take no time; None: bare."""
    if mode == "bare":
        return None
    rules = {"breaker": "off"}
    if profile is not None:
        rules["profile"] = profile
    policy = {"version": 1, "name": "t", "mode": mode, "aws": {"all": rules}}
    return resilience.PolicyEngine.from_dict(policy, sinks=[], clock=Clock())


def owners_number(native, service, profile, mode):
    """Return how many requests the owner of a call makes."""
    if mode != "enforce" or profile == "honour-client-config":
        return native
    return PLAIN if profile == "none" else OURS[service]


def matrix(place, *, short):
    """Yield (kind, case, expected, counted)."""
    services = ["sqs"] if short else WAYS
    kinds = dict(itertools.islice(KINDS.items(), 2, 4)) if short else KINDS
    modes = ("enforce", "observe", "bypass")[: 2 if short else 3]
    profiles = PROFILES[::2] if short else PROFILES
    for name, source in sources().items():
        if short and not name.endswith(("nothing", "environment", "ATTEMPTS 2")):
            continue
        environment, text, retries, mode, attempts = source
        numbers = NATIVE["new" if is_new() else "old"][mode]
        for service in services:
            native = attempts or numbers[[*WAYS].index(service)]
            with place.surroundings(environment, text):
                for kind, connect in kinds.items():
                    cases = [(None, "bare"), *itertools.product(profiles, modes)]
                    for profile, our_mode in cases:

                        def make(maker, service=service, retries=retries):
                            return maker(
                                service,
                                endpoint_url=place.wire.url,
                                config=Config(retries=retries or None),
                            )

                        client = connect(place, engine_of(profile, our_mode), make)
                        counted = place.count(getattr(client, WAYS[service]))
                        client.close()
                        case = f"{service}, {name}, {profile or 'built-in'}, {our_mode}"
                        expected = owners_number(native, service, profile, our_mode)
                        yield kind, case, expected, counted


def run(*, short):
    """Count everything in this process; return its figures."""
    place = Place()
    done, wrong = collections.Counter(), []
    try:
        for kind, case, expected, counted in matrix(place, short=short):
            done[kind] += 1
            if expected != counted:
                wrong.append(f"{kind}: {case}: {counted} requests, not {expected}")
        for case, expected, counted in aws_owner_nested.cases(place, short=short):
            done["nested and redirected"] += 1
            if expected != counted:
                wrong.append(f"{case}: {counted}, not {expected}")
    finally:
        place.close()
    return {"done": done, "wrong": wrong}


def main():
    """Count in this process, or in one for each flag."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a part of it, quickly")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    logging.getLogger("resilience").addHandler(logging.NullHandler())
    if arguments.here:
        print(json.dumps(run(short=arguments.short)))
        return 0
    status = 0
    flags = ("true", "false") if version() < (1, 44) else (None,)
    flags = flags[:1] if arguments.short else flags
    for flag in flags:
        environment = {k: v for k, v in os.environ.items() if k != FLAG}
        environment |= {} if flag is None else {FLAG: flag}
        command = [sys.executable, __file__, "--here"]
        command += ["--short"] if arguments.short else []
        text = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, text=True, check=True
        ).stdout
        found = json.loads(text)
        label = "" if flag is None else f", {FLAG}={flag}"
        print(f"botocore {botocore.__version__}{label}")
        for kind, count in found["done"].items():
            print(f"  {kind:22} {count:5} counted")
        print(f"  {'other than the owner says':22} {len(found['wrong'])}")
        for line in found["wrong"]:
            print(f"    {line}")
        status |= bool(found["wrong"])
    return status


if __name__ == "__main__":
    sys.exit(main())
