"""Run the engine's commands: clocks, sleeping, tasks, timers.

A driver decides nothing and knows no protocol: an adapter gives it the means to start
and cancel an attempt, and it carries out the steps of one call. `host.Host` is what a
driver needs of the engine.
"""
