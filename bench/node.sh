#!/usr/bin/env bash
# Node boot and the memory of an idle node, with a bare clone3 of the same namespaces beside them.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
trap 'rm --recursive --force "$scratch"' EXIT

cargo build --quiet --release --package drydock-nodes --example boot
cargo build --quiet --release --package drydock-runtime --example bare_clone
store="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/bench-store"
"$dist/bin/drydock" --log warn image import --image-store "$store" "$dist/images" >/dev/null
bench/bare_clone.sh "$target/examples/bare_clone" "$scratch"
"$target/examples/boot" --bin "$dist/bin" --store "$store" --data "$scratch/data"
