"""Sinks: records in, log lines, metrics and spans out. Nothing reads them back.

A sink is an object with `emit(record)` and, by choice, `close()` and `renew()` (after a
fork). It must not block; what it raises is counted and never reaches a call. Import
`LogSink` from `logs`, `MetricsSink` from `metrics`, `TraceSink` from `traces`,
`JsonLinesSink` (records in a file, for `resilience replay`) from `jsonlines`. Names of
metrics, events and attributes live in `names.py` and nowhere else.
"""
