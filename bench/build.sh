#!/usr/bin/env bash
# `docker build` of five steps with a 50 MB COPY, cold (--no-cache) and cached, by drydock-engine and Debian's dockerd:
# interleaved, medians in milliseconds, the command line's own time included.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
rounds="${ROUNDS:-7}"
peers=$(bench/peers.sh)
. bench/scratch.sh

mkdir --parents "$scratch/busybox/bin" "$scratch/context"
cp /bin/busybox "$scratch/busybox/bin/"
ln --symbolic busybox "$scratch/busybox/bin/sh"
tar --create --file "$scratch/busybox.tar" --directory "$scratch/busybox" .
head --bytes 50000000 /dev/urandom >"$scratch/context/blob"
printf 'FROM bench\nENV A=1\nRUN echo 1 > /one\nCOPY blob /blob\nRUN echo 2 > /two\nCMD ["sh"]\n' >"$scratch/context/Dockerfile"

# engine NAME PROGRAM: started in network and mount namespaces of its own, until its socket answers.
engine() {
    local name=$1 program=$2
    unshare --net --mount --propagation private sh -c 'ip link set lo up; exec "$@"' sh "$program" \
        --host "unix://$scratch/$name.sock" --data-root "$scratch/$name/data" --exec-root "$scratch/$name/exec" \
        --pidfile "$scratch/$name.pid" >"$scratch/$name.log" 2>&1 &
    pids+=("$!")
    until curl --silent --fail --unix-socket "$scratch/$name.sock" http://d/_ping >/dev/null; do
        kill -0 "$!" 2>/dev/null || { tail -n 5 "$scratch/$name.log" >&2; exit 1; }
    done
    docker --host "unix://$scratch/$name.sock" import "$scratch/busybox.tar" bench:latest >/dev/null
}

# timed NAME CASE FLAG…: one build, its milliseconds added to the case's list.
timed() {
    local name=$1 kind=$2 began
    shift 2
    began=$(date +%s%N)
    docker --host "unix://$scratch/$name.sock" build --quiet "$@" --tag built "$scratch/context" >/dev/null 2>&1
    echo $(( ($(date +%s%N) - began) / 1000000 )) >>"$scratch/$name.$kind"
}

median() {
    sort --numeric-sort "$1" | sed --quiet "$(( (rounds + 1) / 2 ))p"
}

engine ours "$dist/bin/drydock-engine"
PATH="$peers/usr/sbin:$peers/usr/bin:$PATH" engine dockerd "$peers/usr/sbin/dockerd"
for _ in $(seq "$rounds"); do
    for name in ours dockerd; do
        timed "$name" cold --no-cache
        timed "$name" cached
    done
done
echo "load $(cut --delimiter=' ' --fields=1 /proc/loadavg), median of $rounds"
for kind in cold cached; do
    echo "build $kind: ours $(median "$scratch/ours.$kind") ms, dockerd $(median "$scratch/dockerd.$kind") ms"
done
