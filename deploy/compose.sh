#!/bin/sh
# compose.sh up|down: docker compose with the variants that this machine calls for; what `make up` and `make down` run.
set -eu

say() { printf '%s\n' "$@"; } # each on a line of its own

if ! docker compose version >/dev/null 2>&1; then
    say "docker compose is needed, 2.24.4 or newer: https://docs.docker.com/compose/install/" >&2
    exit 1
fi

if [ "$1" = down ]; then
    exec docker compose --profile '*' down --remove-orphans
fi

set -- -f docker-compose.yml
if [ -n "${SIMULATOR:-}" ]; then
    say "SIMULATOR: the words are the simulator's, not a model's."
    set -- "$@" -f deploy/compose.simulator.yaml
elif ! nvidia-smi -L >/dev/null 2>&1; then
    say "No NVIDIA GPU here: Ollama computes on the processor. make up SIMULATOR=1 does without a model."
elif docker info --format '{{json .Runtimes}}' | grep -q nvidia; then
    say "An NVIDIA GPU is here: Ollama gets it."
    set -- "$@" -f deploy/compose.gpu.yaml
else
    say "An NVIDIA GPU is here, but containers cannot see it: NVIDIA's container toolkit is missing. Ollama computes on the processor."
fi
if [ -n "${SCALE:-}" ]; then
    say "SCALE: two gateways behind the edge, two proxies and two model servers."
    set -- "$@" --profile scale
    export SLUICE_GATEWAY_PROXY_URL=a=http://proxy:8080,b=http://proxy-2:8080
    export SLUICE_GATEWAY_VALKEY_URL=valkey://valkey:6379/0
fi
if [ -n "${POSTGRES:-}" ]; then
    say "POSTGRES: conversations are kept in a database, for all who reach the gateway alike unless they have keys."
    set -- "$@" --profile postgres
    export SLUICE_GATEWAY_DATABASE=postgresql://sluice@postgres/sluice SLUICE_WEB_STORE=true
fi
if [ -f docker-compose.override.yml ]; then # which Compose reads by itself where no file is named
    set -- "$@" -f docker-compose.override.yml
fi

docker compose "$@" up --detach
# Those that a person waits for; a model may take minutes to come, and what needs it says so meanwhile.
docker compose "$@" up --detach --no-build --wait page gateway

at() { docker compose "$@" | sed 's/^0\.0\.0\.0:/localhost:/; s/^127\.0\.0\.1:/localhost:/'; }
password="docker compose exec grafana cat /run/secrets/grafana_admin_password"
say "" \
    "page       http://$(at "$@" port page 3000)" \
    "gateway    http://$(at "$@" port gateway 3001)" \
    "Grafana    http://$(at "$@" port grafana 3000), user admin, password: $password" \
    "stop       make down"
[ -z "${SCALE:-}" ] || say "the edge   http://$(at "$@" port edge 8080)"
[ -n "${SIMULATOR:-}" ] || say "the pull   docker compose logs -f model"
