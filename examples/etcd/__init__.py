"""etcd killed under load: a real gRPC server of somebody else's, in another language.

`python -m examples.etcd.run` needs the `etcd` program (Debian: etcd-server).
"""
