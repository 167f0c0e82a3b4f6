#!/bin/bash
# pull.sh MODEL...: lay out the volume of models, pull each model that is not in it, and tell every few percent how far it
# is. Runs in Ollama's image, which has bash and no curl, beside a server of its own that nobody else reaches.
set -euo pipefail

# A layer smaller than this is here before anybody could read of it.
told_from_bytes=$((16 << 20))

pull() {
    local body="{\"model\":\"$1\"}" line total completed percent told=
    exec 3<>"/dev/tcp/${OLLAMA_HOST%:*}/${OLLAMA_HOST##*:}"
    # HTTP/1.0: a line of JSON for each step, without chunks between them
    printf 'POST /api/pull HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s' \
        "${#body}" "$body" >&3
    while IFS= read -r line <&3; do
        if [[ $line == *'"error":'* ]]; then
            echo "$1: $line" >&2
            return 1
        elif [[ $line == *'"status":"success"'* ]]; then
            echo "$1: pulled"
            return 0
        elif [[ $line =~ \"total\":([0-9]+) ]] && total=${BASH_REMATCH[1]} && ((total >= told_from_bytes)) &&
            [[ $line =~ \"completed\":([0-9]+) ]] && completed=${BASH_REMATCH[1]}; then
            percent=$((completed * 20 / total * 5))
            [ "$told" = "$total/$percent" ] || echo "$1: $percent % of $((total / 1000000)) MB"
            told=$total/$percent
        fi
    done
    echo "$1: the download broke off" >&2
    return 1
}

mkdir -p "$OLLAMA_MODELS/manifests" "$OLLAMA_MODELS/blobs"
log=$(mktemp)
ollama serve >"$log" 2>&1 &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
until ollama ls >/dev/null 2>&1; do
    kill -0 $server 2>/dev/null || { cat "$log" >&2; exit 1; }
    sleep 0.2
done
for model in "$@"; do
    if [[ ! $model =~ ^[A-Za-z0-9._/:-]+$ ]]; then
        echo "not the name of a model: $model" >&2
        exit 2
    elif ollama show "$model" >/dev/null 2>&1; then # who is offline keeps what is there
        echo "$model: is here"
    else
        echo "$model: pulling"
        pull "$model"
    fi
done
