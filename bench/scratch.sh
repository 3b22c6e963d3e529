# Sourced by the benchmarks: a folder of their own in `scratch`, and `pids`, which end with them.
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
pids=()

finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm --recursive --force "$scratch"
}
trap finish EXIT
