#!/usr/bin/env bash
# Keystroke echo, flood and their price through the real WebSocket of a real gateway and node, with ttyd and a bare pty
# beside them.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
pids=()

finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    "$dist/bin/drydock" reset --data-dir "$scratch/data" --dist "$dist" >/dev/null 2>&1 || true
    rm --recursive --force "$scratch"
}
trap finish EXIT

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# answers PID URL: waits until the server answers, as long as it lives.
answers() {
    until curl --silent --output /dev/null --fail "$2"; do
        kill -0 "$1" 2>/dev/null || { tail -n 5 "$scratch"/*.log >&2; exit 1; }
    done
}

cargo build --quiet --release --package drydock --example echo
store="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/bench-store"
listen="127.0.0.1:$(free_port)"
"$dist/bin/drydock" --log warn serve --offline --listen "$listen" --data-dir "$scratch/data" --dist "$dist" \
    --image-store "$store" --stop-nodes >"$scratch/gateway.log" 2>&1 &
pids+=("$!")
answers "$!" "http://$listen/ping"
arguments=(--base "http://$listen" --gateway "$!")

ttyd="$(bench/peers.sh)/ttyd"
if [ -x "$ttyd/usr/bin/ttyd" ]; then
    port=$(free_port)
    # It finds its event loop only by LD_LIBRARY_PATH, which this machine's own programs must not see.
    (cd "$scratch" && LD_LIBRARY_PATH="$ttyd/usr/lib/x86_64-linux-gnu" exec "$ttyd/usr/lib64/ld-linux-x86-64.so.2" \
        "$ttyd/usr/bin/ttyd" --interface 127.0.0.1 --port "$port" --writable \
        /bin/busybox env -u LD_LIBRARY_PATH bash --norc) >"$scratch/ttyd.log" 2>&1 &
    pids+=("$!")
    answers "$!" "http://127.0.0.1:$port/"
    arguments+=(--ttyd "127.0.0.1:$port" --ttyd-pid "$!")
else
    echo "ttyd could not be had: its column stays empty"
fi
"$target/examples/echo" "${arguments[@]}" --pty "$(bench/bare_pty.py "$scratch/big")"
