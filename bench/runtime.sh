#!/usr/bin/env bash
# drydock-runtime, Debian's runc and crun by their command lines, from one bundle (`spec`: all namespaces), in one run, and
# the kernel's own price beside them. crun refuses the hybrid of cgroup v1 and v2 that some machines have, so all of them run
# where only v1 shows.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
if [ -z "${DRYDOCK_BENCH_ISOLATED:-}" ]; then
    exec env DRYDOCK_BENCH_ISOLATED=1 unshare --mount --propagation private "$0"
fi
umount /sys/fs/cgroup/unified 2>/dev/null || true
peers=$(bench/peers.sh)
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
trap 'rm --recursive --force "$scratch"' EXIT

cargo build --quiet --release --package drydock-bench
cargo build --quiet --release --package drydock-runtime --example bare_clone
bare=$(bench/bare_clone.sh "$target/examples/bare_clone" "$scratch" | tee /dev/stderr | grep --only-matching '[0-9]*$')

# bundle FOLDER WORD…: the example of `spec`, on busybox, without a terminal, with these words as its program.
bundle() {
    local folder=$1
    shift
    mkdir --parents "$folder"
    (cd "$folder" && "$dist/bin/drydock-runtime" spec)
    python3 - "$folder/config.json" "$scratch/busybox" "$@" <<'PYTHON'
import json, sys
path, root, *words = sys.argv[1:]
config = json.load(open(path))
config["ociVersion"] = "1.0.2" # the newest that Debian's crun takes
config["root"]["path"] = root
config["process"]["terminal"] = False
config["process"]["args"] = words
json.dump(config, open(path, "w"))
PYTHON
}

mkdir --parents "$scratch"/busybox/{proc,dev,sys}
bundle "$scratch/bundle" /bin/true
bundle "$scratch/bundle/sleeper" /bin/sleep 600
export LD_LIBRARY_PATH="$peers/usr/lib/x86_64-linux-gnu" # crun's; ours needs none
"$target/drydock-bench" runtime "$scratch/bundle" "$bare" "ours=$dist/bin/drydock-runtime" "crun=$peers/usr/bin/crun" \
    "runc=$peers/usr/sbin/runc"
