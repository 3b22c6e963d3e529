#!/usr/bin/env bash
# drydock-engine and Debian's dockerd through the Engine API and the docker command line, in one run, each figure with
# the issue's limit and the kernel's own price of as many bare containers (on two processors) beside it.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
peers=$(bench/peers.sh)
. bench/scratch.sh
. bench/memory.sh

cargo build --quiet --release --package drydock-bench
cargo build --quiet --release --package drydock-runtime --example bare_clone
bare=$(bench/bare_clone.sh "$target/examples/bare_clone" "$scratch" | tee /dev/stderr | grep --only-matching '[0-9]*$')
tar --create --file "$scratch/busybox.tar" --directory "$scratch/busybox" .

# engine NAME PROGRAM ARGUMENT…: started in network and mount namespaces of its own, until its socket answers.
engine() {
    local name=$1 began
    shift
    began=$(date +%s%N)
    unshare --net --mount --propagation private sh -c 'ip link set lo up; exec "$@"' sh "$@" \
        --host "unix://$scratch/$name.sock" --data-root "$scratch/$name/data" --exec-root "$scratch/$name/exec" \
        --pidfile "$scratch/$name.pid" >"$scratch/$name.log" 2>&1 &
    pids+=("$!")
    "$target/drydock-bench" ready "$!" "$scratch/$name.sock" || { tail -n 5 "$scratch/$name.log" >&2; exit 1; }
    echo "$name: start to /_ping $(( ($(date +%s%N) - began) / 1000000 )) ms (aim 30)"
    sleep 5
    echo "$name: idle $(pss "$!") KiB PSS (aim 6144)"
    docker --host "unix://$scratch/$name.sock" import --change 'CMD ["sh"]' "$scratch/busybox.tar" bench:latest >/dev/null
}

engine ours "$dist/bin/drydock-engine"
PATH="$peers/usr/sbin:$peers/usr/bin:$PATH" engine dockerd "$peers/usr/sbin/dockerd"
"$target/drydock-bench" engine bench:latest "$bare" "ours=$scratch/ours.sock" "dockerd=$scratch/dockerd.sock"
