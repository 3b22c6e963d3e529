# Sourced by the benchmarks.
# pss PID…: KiB of these processes and all below them.
pss() {
    local total=0 pid part
    for pid in "$@"; do
        part=$(awk '/^Pss:/ { print $2 }' "/proc/$pid/smaps_rollup" 2>/dev/null || true)
        # shellcheck disable=SC2046  # one argument per child
        total=$((total + ${part:-0} + $(pss $(cat /proc/"$pid"/task/*/children 2>/dev/null))))
    done
    echo "$total"
}
