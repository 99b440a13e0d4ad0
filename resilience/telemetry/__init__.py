"""Sinks: records in, log lines and metrics out. Nothing reads them back.

A sink is an object with `emit(record)` and, by choice, `close()`. It must not block;
what it raises is counted and never reaches a call. Names of metrics and attributes
live in `names.py` and nowhere else.
"""
