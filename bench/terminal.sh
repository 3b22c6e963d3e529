#!/usr/bin/env bash
# Keystroke echo and flood through the real WebSocket of a real gateway and node, with a pty alone beside them.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
listen="127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"

finish() {
    kill "$gateway" 2>/dev/null && wait "$gateway" 2>/dev/null || true
    "$dist/bin/drydock" reset --data-dir "$scratch/data" >/dev/null 2>&1 || true
    rm --recursive --force "$scratch"
}

cargo build --quiet --release --package drydock --example echo
store="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/bench-store"
"$dist/bin/drydock" --log warn serve --listen "$listen" --data-dir "$scratch/data" --dist "$dist" --image-store "$store" \
    --stop-nodes >"$scratch/log" 2>&1 &
gateway=$!
trap finish EXIT
until curl --silent --fail "http://$listen/ping" >/dev/null; do
    kill -0 "$gateway" 2>/dev/null || { tail -n 5 "$scratch/log" >&2; exit 1; }
done
bench/bare_pty.py
"$target/examples/echo" "http://$listen"
