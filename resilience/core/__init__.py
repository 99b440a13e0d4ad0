"""Pure state machines and the vocabulary: what is decided, never how it is done.

Nothing here reads a clock, sleeps, draws from a global random source, logs, or
knows a protocol. `now` and random numbers come in as arguments. Import from the
modules by name (`from resilience.core.outcome import Outcome`).
"""
