"""The same traffic three ways into servers that fail: `python -m examples.demo`.

Bare, with each platform's own retries, and with this library under the policies in
`examples/policies`. Attempts and duplicate effects are counted at the servers.
"""
