#!/usr/bin/env bash
# Unpacks the peers (Debian's docker.io, containerd, runc and crun, and ttyd with its libraries in a folder of its own) into
# a private folder and prints its path. ttyd is in Debian sid alone, whose mirrors may be frozen: it may be missing.
set -euo pipefail
peers="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/peers"
if [ ! -x "$peers/usr/sbin/dockerd" ]; then
    mkdir -p "$peers/debs"
    (cd "$peers/debs" && apt-get download -q docker.io containerd runc crun >&2)
    for deb in "$peers"/debs/*.deb; do dpkg-deb --extract "$deb" "$peers"; done
fi
if [ ! -e "$peers/usr/lib/x86_64-linux-gnu/libyajl.so.2" ]; then
    (cd "$peers/debs" && apt-get download -q libyajl2 >&2) # crun's
    dpkg-deb --extract "$peers"/debs/libyajl2_*.deb "$peers"
fi
if [ ! -x "$peers/ttyd/usr/bin/ttyd" ]; then
    rm --recursive --force "$peers/ttyd"
    mmdebstrap --quiet --aptopt='Acquire::Check-Valid-Until "false"' --variant=extract --include=ttyd sid "$peers/ttyd" \
        http://deb.debian.org/debian >&2 || rm --recursive --force "$peers/ttyd"
fi
echo "$peers"
