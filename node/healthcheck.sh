#!/bin/sh
# ECS' container health check of a node: is the server process alive?
#
# Liveness, and nothing else. ECS kills a task that fails this check, so it must not depend on the
# cluster's state (one hiccup of the cluster would kill every node at once), on a replica's link, on a
# data set that is still loading, or on a password that was rotated: whatever the server answers, it lives.
#
# It runs inline (CMD-SHELL) with the container's environment, of which it reads REDIS_ADDRESS,
# REDIS_PORT, REDIS_PASSWORD, REDIS_DATA_DIR, REDIS_TLS_CERT, REDIS_CONFIG and REDIS_CLI (default:
# redis-cli, else valkey-cli). It gives up after 4 seconds, within ECS' default timeout of 5.

set -u
newline='
'

cli=${REDIS_CLI:-}
if [ -z "$cli" ]; then
    cli=$(command -v redis-cli || command -v valkey-cli) || {
        echo 'healthcheck: there is neither redis-cli nor valkey-cli on PATH: set REDIS_CLI.' >&2
        exit 1
    }
fi

# Never an argument: the process list shows those to everybody.
if [ -n "${REDIS_PASSWORD:-}" ]; then
    REDISCLI_AUTH=$REDIS_PASSWORD
    export REDISCLI_AUTH
fi

set -- -h "${REDIS_ADDRESS:-127.0.0.1}" -p "${REDIS_PORT:-6379}"
if [ -n "${REDIS_TLS_CERT:-}" ]; then
    # The files that entrypoint.sh has written.
    tls=${REDIS_DATA_DIR:-/data}/tls
    set -- "$@" --tls --cacert "$tls-ca.crt" --cert "$tls.crt" --key "$tls.key"
else
    case $newline${REDIS_CONFIG:-} in
        # The image's own files: whose server answers on loopback needs no proof.
        *"${newline}tls-cert-file "*) set -- "$@" --tls --insecure ;;
    esac
fi

answer=$(timeout 4 "$cli" "$@" PING 2>&1)
case $answer in
    *PONG* | *LOADING* | *BUSY* | *MASTERDOWN* | *NOAUTH* | *WRONGPASS* | *NOPERM* | *'max number of clients'*)
        exit 0
        ;;
esac
printf 'healthcheck: no answer from the server: %s\n' "${answer:-timed out}" >&2
exit 1
