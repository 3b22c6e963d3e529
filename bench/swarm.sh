#!/usr/bin/env bash
# A swarm of five engines, drydock-engine's and then Debian's dockerd's, each node in network, mount and host name
# namespaces of its own on one bridge: ready nodes, running tasks, a node that is killed, memory of an idle node, and what passes
# between containers of two nodes beside what passes between the nodes themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
target="${CARGO_TARGET_DIR:-$HOME/.cache/drydock/target}/x86_64-unknown-linux-gnu/release"
nodes="${NODES:-5}" seconds="${SECONDS_EACH:-2}"
peers=$(bench/peers.sh)
. bench/scratch.sh
. bench/memory.sh

cargo build --quiet --release --package drydock-bench
bench="$target/drydock-bench"
mkdir --parents "$scratch/busybox/bin"
cp /bin/busybox "$scratch/busybox/bin/"
for name in sleep sh; do ln --symbolic busybox "$scratch/busybox/bin/$name"; done
tar --create --file "$scratch/busybox.tar" --directory "$scratch/busybox" .

on() { local socket=$1; shift; docker --host "unix://$socket" "$@"; }

# What a node that was killed left running: shims whose command line names its folder, and their containers.
end_left() {
    local shim
    for shim in $(pgrep --full "shim.*$1/" || true); do
        # shellcheck disable=SC2046  # one argument per child
        kill -KILL $(cat /proc/"$shim"/task/*/children 2>/dev/null) 2>/dev/null || true
        sleep 0.1
        kill -KILL "$shim" 2>/dev/null || true
    done
}

# swarm NAME PROGRAM: its nodes, one after the other, all on one bridge.
swarm() {
    local name=$1 program=$2 at folder words=() lan
    mkdir "$scratch/$name"
    unshare --net sh -c 'ip link add br0 type bridge && ip link set br0 up && exec sleep 100000' &
    lan=$!
    pids+=("$lan")
    until nsenter --net --target "$lan" ip link show br0 >/dev/null 2>&1; do kill -0 "$lan"; done
    for at in $(seq "$nodes"); do
        folder="$scratch/$name/$at"
        mkdir "$folder"
        setsid unshare --net --mount --uts --propagation private sh -c "hostname $name$at; ip link set lo up; until ip link show eth0 >/dev/null 2>&1; do :; done; exec \"\$@\"" sh \
            "$program" --host "unix://$folder/d.sock" --data-root "$folder/data" --exec-root "$folder/exec" \
            --pidfile "$folder/pid" >"$folder/log" 2>&1 &
        pids+=("$!")
        echo "$!" >"$folder/process"
        # Until the process is in its own namespace.
        until [ "$(readlink "/proc/$!/ns/net")" != "$(readlink /proc/self/ns/net)" ]; do kill -0 "$!"; done
        ip link add "port$at" netns "$lan" type veth peer name eth0 netns "$!"
        nsenter --net --target "$lan" ip link set "port$at" master br0 up
        nsenter --net --target "$!" sh -c "ip address add 192.168.78.$at/24 dev eth0; ip link set eth0 up"
        "$bench" ready "$!" "$folder/d.sock" || { tail -n 5 "$folder/log" >&2; exit 1; }
        on "$folder/d.sock" import "$scratch/busybox.tar" bench:latest >/dev/null
        words+=("192.168.78.$at=$!=$folder/d.sock")
    done
    "$bench" swarm bench:latest "${words[@]}" | sed "s/^/$name: /"
    on "$scratch/$name/1/d.sock" service rm web >/dev/null
    for at in 1 2; do until [ -z "$(on "$scratch/$name/$at/d.sock" ps --all --quiet)" ]; do sleep 0.1; done; done
    sleep 5
    echo "$name: an idle manager $(pss "$(cat "$scratch/$name/1/process")") KiB PSS, a worker $(pss "$(cat "$scratch/$name/2/process")") (aim 12288)"
    throughput "$name" || echo "$name: overlay networks do not work here"
    for at in $(seq "$nodes"); do
        on "$scratch/$name/$at/d.sock" rm --force one two >/dev/null 2>&1 || true
    done
    end_left "$scratch/$name/$nodes"
}

# Between containers of two nodes, and between the nodes.
throughput() {
    local one="$scratch/$1/1/d.sock" two="$scratch/$1/2/d.sock" address server client
    on "$one" network create --driver overlay --attachable net >/dev/null 2>&1 || return 1
    on "$two" run --detach --name two --network net bench:latest sleep 100000 >/dev/null 2>&1 || return 1
    on "$one" run --detach --name one --network net bench:latest sleep 100000 >/dev/null 2>&1 || return 1
    address=$(on "$two" inspect --format '{{.NetworkSettings.Networks.net.IPAddress}}' two)
    server=$(on "$two" inspect --format '{{.State.Pid}}' two)
    client=$(on "$one" inspect --format '{{.State.Pid}}' one)
    echo "$1: overlay $(pass "$server" "$client" "$address") Gbit/s, between the nodes" \
        "$(pass "$(cat "$scratch/$1/2/process")" "$(cat "$scratch/$1/1/process")" 192.168.78.2) Gbit/s"
}

# pass SERVER CLIENT ADDRESS
pass() {
    local listener
    : >"$scratch/listen"
    nsenter --target "$1" --net "$bench" listen 0.0.0.0:5001 >"$scratch/listen" &
    listener=$!
    until grep --quiet listening "$scratch/listen"; do kill -0 "$listener"; done
    nsenter --target "$2" --net "$bench" send "$3:5001" "$seconds"
    kill "$listener" && wait "$listener" 2>/dev/null || true
}

swarm ours "$dist/bin/drydock-engine"
PATH="$peers/usr/sbin:$peers/usr/bin:$PATH" swarm dockerd "$peers/usr/sbin/dockerd"
