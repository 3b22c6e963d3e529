#!/usr/bin/env bash
# Sessions that begin with a swarm, from the click to a manager that lists every node as ready, each template three times.
set -euo pipefail
cd "$(dirname "$0")/.."
dist="${DIST:-$PWD/dist}"
scratch=$(mktemp --directory /tmp/drydock-bench-XXXXXX)
url="http://127.0.0.1:$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')"
gateway=

finish() {
    if [ -n "$gateway" ]; then kill "$gateway" 2>/dev/null && wait "$gateway" 2>/dev/null || true; fi
    "$dist/bin/drydock" reset --data-dir "$scratch/data" --dist "$dist" >/dev/null 2>&1 || true
    rm --recursive --force "$scratch"
}
trap finish EXIT

store="${XDG_CACHE_HOME:-$HOME/.cache}/drydock/bench-store"
"$dist/bin/drydock" --log warn image import --image-store "$store" "$dist/images" >/dev/null
"$dist/bin/drydock" --log warn serve --offline --listen "${url#http://}" --data-dir "$scratch/data" --dist "$dist" \
    --image-store "$store" --stop-nodes &
gateway=$!
until curl --silent --fail --output /dev/null "$url/ping"; do
    kill -0 "$gateway" 2>/dev/null || exit 1
done

# begin TEMPLATE: a session of it, ready; prints its id.
begin() {
    local id
    id=$(curl --silent --fail --header 'X-Requested-With: XMLHttpRequest' --data "stack_name=$1" "$url/" | jq --raw-output .session_id)
    until curl --silent --fail "$url/sessions/$id" | jq --exit-status .ready >/dev/null; do :; done
    echo "$id"
}

end() {
    curl --silent --fail --request DELETE "$url/sessions/$1"
}

echo "(load $(cut -d' ' -f1-3 /proc/loadavg))"
for template in 1-manager 3-managers-2-workers 5-managers; do
    for _ in 1 2 3; do
        began=$(date +%s%N)
        id=$(begin "$template")
        echo "$template: from the click to a swarm that is ready $(( ($(date +%s%N) - began) / 1000000 )) ms (aim 1000)"
        end "$id"
    done
done
