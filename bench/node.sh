#!/usr/bin/env bash
# Node boot and end, one by one and five at once, and the memory of an idle node, each with its limit; beside them a bare
# clone3 of the same namespaces, and what a node of play-with-docker's kind waits for at the least: Debian's dockerd in
# fresh namespaces, without the container and the image around it.
set -euo pipefail
cd "$(dirname "$0")/.."
. bench/memory.sh
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
peers=$(bench/peers.sh)
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
peer_pid=

finish() {
    if [ -n "$peer_pid" ]; then kill -KILL "$peer_pid" 2>/dev/null && wait "$peer_pid" 2>/dev/null || true; fi
    "$dist/bin/drydock" reset --data-dir "$scratch/data" --dist "$dist" >/dev/null 2>&1 || true
    rm --recursive --force "$scratch"
}
trap finish EXIT

cargo build --quiet --release --package drydock-nodes --example boot
cargo build --quiet --release --package drydock-runtime --example bare_clone
store="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/bench-store"
"$dist/bin/drydock" --log warn image import --image-store "$store" "$dist/images" >/dev/null
echo "(load $(cut -d' ' -f1-3 /proc/loadavg))"
bench/bare_clone.sh "$target/examples/bare_clone" "$scratch"
"$target/examples/boot" --bin "$dist/bin" --store "$store" --data "$scratch/data"

# Killed, it ends with its PID namespace and everything in that.
for round in 1 2 3; do
    began=$(date +%s%N)
    PATH="$peers/usr/sbin:$peers/usr/bin:$PATH" unshare --net --mount --pid --kill-child --mount-proc --propagation private \
        sh -c 'ip link set lo up; exec "$@"' sh "$peers/usr/sbin/dockerd" --host "unix://$scratch/peer$round.sock" \
        --data-root "$scratch/peer$round/data" --exec-root "$scratch/peer$round/exec" \
        --pidfile "$scratch/peer$round.pid" >"$scratch/peer$round.log" 2>&1 &
    peer_pid=$!
    until curl --silent --fail --unix-socket "$scratch/peer$round.sock" http://d/_ping >/dev/null; do
        kill -0 "$peer_pid" 2>/dev/null || { tail -n 5 "$scratch/peer$round.log" >&2; exit 1; }
    done
    took=$(( ($(date +%s%N) - began) / 1000000 ))
    echo "peer: dockerd in fresh namespaces to /_ping $took ms, idle $(pss "$peer_pid") KiB PSS"
    kill -KILL "$peer_pid" && wait "$peer_pid" 2>/dev/null || true
    peer_pid=
done
