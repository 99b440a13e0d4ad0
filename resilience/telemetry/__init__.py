"""Sinks: records in, log lines and metrics out. Nothing reads them back.

A sink is an object with `emit(record)` and, by choice, `close()` and `renew()` (after a
fork). It must not block; what it raises is counted and never reaches a call. Import
`LogSink` from `logs`, `MetricsSink` from `metrics`. Names of metrics and attributes
live in `names.py` and nowhere else.
"""
