"""What the conformance run installs on each botocore session, one function per mode.

Every session gets an engine of its own: a foreign test stands for one program, and a
retry budget spent by one test must not show in the next.
"""

import resilience
import resilience.botocore


_ENFORCE = """
version: 1
name: conformance
mode: enforce
aws:
  all: {profile: honour-client-config}
"""
_OBSERVE = """
version: 1
name: conformance
mode: observe
"""
_BYPASS = """
version: 1
name: conformance
mode: bypass
"""


def _register(session, text):
    engine = resilience.PolicyEngine.from_text(text)
    resilience.botocore.register(session, engine)


def enforce(session):
    """Act, but take numbers and classes of retries from the client's own config."""
    _register(session, _ENFORCE)


def observe(session):
    """Decide and record; botocore does what it always did."""
    _register(session, _OBSERVE)


def bypass(session):
    """Be installed and do nothing."""
    _register(session, _BYPASS)
