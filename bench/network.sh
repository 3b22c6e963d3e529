#!/usr/bin/env bash
# drydock-engine's and Debian's dockerd's networks in one run: throughput between two containers of a bridge and through a
# published port, network create and rm, questions to the name server. The limit beside it is a bridge of the kernel's that nobody
# else looks at. Rounds are interleaved; medians are printed.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
rounds="${ROUNDS:-5}" seconds="${SECONDS_EACH:-2}"
peers=$(bench/peers.sh)
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
pids=()
declare -A engine_pid

finish() {
    for name in "${!engine_pid[@]}"; do
        docker --host "unix://$scratch/$name.sock" rm --force web client >/dev/null 2>&1 || true
    done
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null || true; done
    rm --recursive --force "$scratch"
}
trap finish EXIT

cargo build --quiet --release --package drydock-bench
bench="$target/drydock-bench"
mkdir --parents "$scratch/busybox/bin"
cp /bin/busybox "$scratch/busybox/bin/"
ln --symbolic busybox "$scratch/busybox/bin/sleep"
tar --create --file "$scratch/busybox.tar" --directory "$scratch/busybox" .

on() { local name=$1; shift; docker --host "unix://$scratch/$name.sock" "$@"; }
pid_of() { on "$1" inspect --format '{{.State.Pid}}' "$2"; }
within() { local pid=$1; shift; nsenter --target "$pid" --net "$@"; }

# engine NAME PROGRAM ARGUMENT…: started in network and mount namespaces of its own, with two containers of a network.
engine() {
    local name=$1
    shift
    unshare --net --mount --propagation private sh -c 'ip link set lo up; exec "$@"' sh "$@" \
        --host "unix://$scratch/$name.sock" --data-root "$scratch/$name/data" --exec-root "$scratch/$name/exec" \
        --pidfile "$scratch/$name.pid" >"$scratch/$name.log" 2>&1 &
    pids+=("$!")
    engine_pid[$name]=$!
    until curl --silent --fail --unix-socket "$scratch/$name.sock" http://d/_ping >/dev/null; do
        kill -0 "$!" 2>/dev/null || { tail -n 5 "$scratch/$name.log" >&2; exit 1; }
    done
    on "$name" import "$scratch/busybox.tar" bench:latest >/dev/null
    on "$name" network create own >/dev/null
    on "$name" run --detach --name web --network own --publish 8080:5001 bench:latest sleep 100000 >/dev/null
    on "$name" run --detach --name client --network own bench:latest sleep 100000 >/dev/null
    : >"$scratch/$name.listen"
    nsenter --target "$(pid_of "$name" web)" --net "$bench" listen 0.0.0.0:5001 >"$scratch/$name.listen" &
    pids+=("$!")
    until grep --quiet listening "$scratch/$name.listen"; do kill -0 "$!"; done
}

# bare: two namespaces on a bridge of a third, made by hand.
bare() {
    declare -gA bare_pid=()
    for name in host web client; do
        unshare --net sh -c 'ip link set lo up; exec sleep 100000' &
        pids+=("$!")
        bare_pid[$name]=$!
        until nsenter --target "$!" --net ip link show lo | grep --quiet ,UP; do :; done
    done
    within "${bare_pid[host]}" ip link add br0 type bridge
    within "${bare_pid[host]}" ip link set br0 up
    for name in web client; do
        within "${bare_pid[host]}" ip link add "$name" master br0 type veth peer name eth0 netns "${bare_pid[$name]}"
        within "${bare_pid[host]}" ip link set "$name" up
        within "${bare_pid[$name]}" ip link set eth0 up
    done
    within "${bare_pid[web]}" ip address add 10.200.0.2/24 dev eth0
    within "${bare_pid[client]}" ip address add 10.200.0.3/24 dev eth0
    : >"$scratch/bare.listen"
    # Not by `within`: what is to be ended is the listener, not a shell around it.
    nsenter --target "${bare_pid[web]}" --net "$bench" listen 0.0.0.0:5001 >"$scratch/bare.listen" &
    pids+=("$!")
    until grep --quiet listening "$scratch/bare.listen"; do kill -0 "$!"; done
}

median() { sort --general-numeric-sort | awk '{ line[NR] = $0 } END { print line[int((NR + 1) / 2)] }'; }
# api NAME METHOD PATH …: milliseconds until the answer; starting curl takes several times as long.
api() {
    curl --silent --fail --output /dev/null --write-out '%{time_total}\n' --unix-socket "$scratch/$1.sock" --request "$2" "http://d$3" "${@:4}" |
        awk '{ print $1 * 1000 }'
}

engine ours "$dist/bin/drydock-engine"
PATH="$peers/usr/sbin:$peers/usr/bin:$PATH" engine dockerd "$peers/usr/sbin/dockerd"

bare
for _ in $(seq "$rounds"); do
    within "${bare_pid[client]}" "$bench" send 10.200.0.2:5001 "$seconds" >>"$scratch/bare.bridge"
    for name in ours dockerd; do
        web=$(on "$name" inspect --format '{{.NetworkSettings.Networks.own.IPAddress}}' web)
        client=$(pid_of "$name" client)
        within "$client" "$bench" send "$web:5001" "$seconds" >>"$scratch/$name.bridge"
        within "${engine_pid[$name]}" "$bench" send 127.0.0.1:8080 "$seconds" >>"$scratch/$name.port"
        within "$client" "$bench" ask 127.0.0.11:53 web "$seconds" >>"$scratch/$name.names"
        api "$name" POST /networks/create --header 'Content-Type: application/json' --data '{"Name":"n"}' >>"$scratch/$name.create"
        api "$name" DELETE /networks/n >>"$scratch/$name.rm"
    done
done
for name in ours dockerd; do
    echo "$name: container to container $(median <"$scratch/$name.bridge") Gbit/s, published port $(median <"$scratch/$name.port") Gbit/s," \
        "network create $(median <"$scratch/$name.create") ms, rm $(median <"$scratch/$name.rm") ms," \
        "names (questions/s, p50 ms, p99 ms) $(median <"$scratch/$name.names")"
done
echo "bare bridge: $(median <"$scratch/bare.bridge") Gbit/s"
