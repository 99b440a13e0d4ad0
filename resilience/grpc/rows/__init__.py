"""The rows of the classification table, one module for each origin of an end.

Only data lives here; `table.py` puts it in order. A row belongs to whoever made the
status: our own side, the connection, a proxy, or a limit that was crossed.
"""
