#!/usr/bin/env bash
# Pull (from a registry beside the engine), save and load of 200 MB in 5 layers, by drydock-engine and Debian's dockerd:
# interleaved, medians in milliseconds. KIND=noise (nothing compresses it, as in the peers' figures) or text.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
rounds="${ROUNDS:-5}"
kind="${KIND:-noise}"
peers=$(bench/peers.sh)
. bench/scratch.sh

cat >"$scratch/registry.yml" <<REGISTRY
version: 0.1
log: {level: error}
storage: {filesystem: {rootdirectory: $scratch/registry}}
http: {addr: "127.0.0.1:5000"}
REGISTRY

# engine NAME PROGRAM: with a registry, in network and mount namespaces of its own, until both answer.
engine() {
    local name=$1 program=$2
    unshare --net --mount --propagation private sh -c '
        ip link set lo up
        docker-registry serve "$1/registry.yml" >"$1/registry.log" 2>&1 &
        program=$2; shift 2; exec "$program" "$@"' sh "$scratch" "$program" \
        --host "unix://$scratch/$name.sock" --data-root "$scratch/$name/data" --exec-root "$scratch/$name/exec" \
        --pidfile "$scratch/$name.pid" >"$scratch/$name.log" 2>&1 &
    pids+=("$!")
    until curl --silent --fail --unix-socket "$scratch/$name.sock" http://d/_ping >/dev/null; do
        kill -0 "$!" 2>/dev/null || { tail -n 5 "$scratch/$name.log" >&2; exit 1; }
    done
    pids+=("$(pgrep --parent "$!" docker-registry)")
}

# call NAME METHOD PATH FLAG…: one request in the newest version that all peers speak, its body thrown away; a failure in the body is one, too.
call() {
    local name=$1 method=$2 path=$3
    shift 3
    curl --silent --show-error --fail --request "$method" --unix-socket "$scratch/$name.sock" "$@" "http://d/v1.41$path"
}

# timed NAME CASE COMMAND…: its milliseconds added to the case's list.
timed() {
    local name=$1 case=$2 began
    shift 2
    began=$(date +%s%N)
    "$@"
    echo $(( ($(date +%s%N) - began) / 1000000 )) >>"$scratch/$name.$case"
}

forget() {
    call "$1" DELETE "/images/127.0.0.1:5000/bench:1?force=1" >/dev/null
    sync
}

pull() { call "$1" POST "/images/create?fromImage=127.0.0.1:5000/bench&tag=1" | grep --quiet 'Downloaded newer image'; }
save() { call "$1" GET "/images/127.0.0.1:5000/bench:1/get" --output /dev/null; }
load() { call "$1" POST "/images/load?quiet=1" --upload-file "$scratch/saved.tar" | grep --quiet 'Loaded image'; }

engine ours "$dist/bin/drydock-engine"
PATH="$peers/usr/sbin:$peers/usr/bin:$PATH" engine dockerd "$peers/usr/sbin/dockerd"

# Five layers of 40 MB: an import, and four builds upon it.
mkdir "$scratch/tree" "$scratch/context"
some() {
    if [ "$kind" = text ]; then head --bytes 20000000 /dev/urandom | od -An -v -tx1 | head --bytes 40000000
    else head --bytes 40000000 /dev/urandom; fi
}
some >"$scratch/tree/0"
tar --create --directory "$scratch/tree" . | call ours POST "/images/create?fromSrc=-&repo=base" --data-binary @- >/dev/null
printf 'FROM base\n' >"$scratch/context/Dockerfile"
for number in 1 2 3 4; do
    some >"$scratch/context/$number"
    printf 'COPY %s /%s\n' "$number" "$number" >>"$scratch/context/Dockerfile"
done
docker --host "unix://$scratch/ours.sock" build --quiet --tag 127.0.0.1:5000/bench:1 "$scratch/context" >/dev/null 2>&1
docker --host "unix://$scratch/ours.sock" push --quiet 127.0.0.1:5000/bench:1 >/dev/null
save ours && call ours GET "/images/127.0.0.1:5000/bench:1/get" --output "$scratch/saved.tar"
docker --host "unix://$scratch/ours.sock" rmi --force 127.0.0.1:5000/bench:1 base >/dev/null

for _ in $(seq "$rounds"); do
    for name in ours dockerd; do
        sync
        timed "$name" pull pull "$name"
        timed "$name" save save "$name"
        forget "$name"
        timed "$name" load load "$name"
        forget "$name"
    done
done
median() { sort --numeric-sort "$1" | sed --quiet "$(( (rounds + 1) / 2 ))p"; }
echo "200 MB of $kind in 5 layers, load $(cut --delimiter=' ' --fields=1 /proc/loadavg), median of $rounds"
for case in pull:700 save:500 load:650; do
    ours=$(median "$scratch/ours.${case%:*}") peer=$(median "$scratch/dockerd.${case%:*}")
    printf '%-5s ours %6d ms   dockerd %6d ms (%s×)   aim %d\n' "${case%:*}" "$ours" "$peer" \
        "$(awk "BEGIN { printf \"%.1f\", $peer / $ours }")" "${case#*:}"
done
