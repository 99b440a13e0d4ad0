"""Real servers for examples, tests and benchmarks, each in its own process.

`supervisor` starts, kills and restarts them and leaves none behind; `cart` is a gRPC
shop that fails on schedule; `faulty_proxy` stands between an AWS client and moto.
"""
