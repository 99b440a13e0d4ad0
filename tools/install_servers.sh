#!/bin/sh
# Make sure that the servers which the tests talk to are on this machine: etcd (gRPC),
# nginx (HTTP/2, the kind of proxy that answers in gRPC's place) and HAProxy (the kind
# that names itself nowhere). Envoy comes from the Python packages. Does nothing when
# they are there.
set -eu

PATH="$PATH:/usr/sbin:/sbin"
missing=""
command -v etcd >/dev/null 2>&1 || missing="$missing etcd-server"
command -v nginx >/dev/null 2>&1 || missing="$missing nginx-light"
command -v haproxy >/dev/null 2>&1 || missing="$missing haproxy"
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    as_root="sudo"
    if ! sudo -n true 2>/dev/null; then as_root="none"; fi
fi
if ! command -v apt-get >/dev/null 2>&1 || [ "$as_root" = none ]; then
    echo "The tests need servers that are not on this machine:$missing (Debian's names)." >&2
    echo "Installing them takes apt-get and root; neither this user nor sudo -n can." >&2
    echo "Install them with your system's package manager so that the programs etcd," >&2
    echo "nginx and haproxy are on PATH (they need not run), then repeat." >&2
    exit 1
fi

echo "installing$missing"
# Run level 1: the package scripts must not start services; the tests start their own.
install() {
    # shellcheck disable=SC2086 # words on purpose
    $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get install -y -qq --no-install-recommends $missing
}
$as_root apt-get update -qq
install >/dev/null
command -v etcd >/dev/null && command -v nginx >/dev/null && command -v haproxy >/dev/null
