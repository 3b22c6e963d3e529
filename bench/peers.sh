#!/usr/bin/env bash
# Unpacks the peers (Debian's docker.io, containerd, runc and crun) into a private folder and prints its path.
set -euo pipefail
peers="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/peers"
if [ ! -x "$peers/usr/sbin/dockerd" ]; then
    mkdir -p "$peers/debs"
    (cd "$peers/debs" && apt-get download -q docker.io containerd runc crun >&2)
    for deb in "$peers"/debs/*.deb; do dpkg-deb --extract "$deb" "$peers"; done
fi
echo "$peers"
