#!/bin/sh
# The entry point of a node: renders redis.conf from the environment and becomes the server.
#
# It runs inline (`/bin/sh -c "<this text>"`) in stock redis and valkey images, Debian and Alpine:
# POSIX sh, dash and busybox alike, with nothing but sed, tr, hostname, mkdir and rm beside it.
#
#   REDIS_PORT             default 6379; the cluster bus is at port + 10000
#   REDIS_ADDRESS          IPv4 address to bind and to announce; default: bind every interface and
#                          announce the first address of `hostname -i`
#   REDIS_PASSWORD         becomes requirepass and masterauth
#   REDIS_CONFIG           lines of redis.conf; they override the defaults below
#   REDIS_TASK_MEMORY_MIB  maxmemory becomes 75 % of it, unless REDIS_CONFIG gives a maxmemory
#   REDIS_DATA_DIR         default /data: the server's directory, and where redis.conf is written
#   REDIS_SERVER           default: redis-server, else valkey-server
#   REDIS_TLS_CERT, REDIS_TLS_KEY, REDIS_TLS_CA
#                          PEM texts; all three or none. TLS then replaces the plain port, as it does
#                          with a tls-cert-file in REDIS_CONFIG: the image brings the files then
#   ECS_CONTAINER_METADATA_URI_V4
#                          set by ECS; the task id in it is announced as the node's hostname, which
#                          is how the controller knows which task answers at an address
#
# Secrets go into files that only the server's user can read. They are never an argument of a program,
# never logged, and the server does not find them in its environment.

set -u
umask 077
LC_ALL=C
export LC_ALL
newline='
'

say() { printf 'entrypoint: %s\n' "$1"; }

die() {
    printf 'entrypoint: %s\n' "$1" >&2
    exit 1
}

# A value as redis.conf wants it: in double quotes, with \ and " escaped.
quote() { printf '"%s"' "$(printf '%s' "$1" | sed 's/[\\"]/\\&/g')"; }

# Fails unless $2, the value of variable $1, is a whole number from $3 to $4.
want_number() {
    case $2 in
        '' | *[!0-9]* | 0?* | ??????????*) die "$1 is '$2': it must be a whole number from $3 to $4." ;;
    esac
    if [ "$2" -lt "$3" ] || [ "$2" -gt "$4" ]; then
        die "$1 is $2: it must be from $3 to $4."
    fi
}

# --- what the environment says ---------------------------------------------------------------------

port=${REDIS_PORT:-6379}
want_number REDIS_PORT "$port" 1 55535

data_dir=${REDIS_DATA_DIR:-/data}

password=${REDIS_PASSWORD:-}
case $password in
    *"$newline"*) die 'REDIS_PASSWORD holds a line break, which clients cannot send reliably: remove it.' ;;
esac

server=${REDIS_SERVER:-}
if [ -z "$server" ]; then
    server=$(command -v redis-server || command -v valkey-server) ||
        die 'there is neither redis-server nor valkey-server on PATH: use a redis or valkey image, or set REDIS_SERVER.'
fi
found=$(command -v "$server") || found=
if [ -z "$found" ] || ! [ -x "$found" ]; then
    die "REDIS_SERVER is '$server', and there is no such program: name one on PATH, or its full path."
fi

if [ -n "${REDIS_ADDRESS:-}" ]; then
    address=$REDIS_ADDRESS
else
    address=
    for candidate in $(hostname -i 2>/dev/null); do
        case $candidate in
            127.* | *[!0-9.]*) ;;
            *) address=$candidate && break ;;
        esac
    done
    [ -n "$address" ] ||
        die "'hostname -i' names no IPv4 address that other nodes could reach: set REDIS_ADDRESS."
fi
case $address in
    *[!0-9.]* | *.*.*.*.* | .* | *. | *..*) bad_address=1 ;;
    *.*.*.*) bad_address= ;;
    *) bad_address=1 ;;
esac
[ -z "$bad_address" ] || die "REDIS_ADDRESS is '$address': it must be an IPv4 address."

task_id=${ECS_CONTAINER_METADATA_URI_V4:-}
task_id=${task_id##*/}
task_id=${task_id%-*}
case $task_id in
    *[!0-9A-Za-z-]*)
        die "ECS_CONTAINER_METADATA_URI_V4 is '$ECS_CONTAINER_METADATA_URI_V4': it should end in /<task id>-<number>."
        ;;
esac

tls=
if [ -n "${REDIS_TLS_CERT:-}${REDIS_TLS_KEY:-}${REDIS_TLS_CA:-}" ]; then
    if [ -z "${REDIS_TLS_CERT:-}" ] || [ -z "${REDIS_TLS_KEY:-}" ] || [ -z "${REDIS_TLS_CA:-}" ]; then
        die 'TLS needs all of REDIS_TLS_CERT, REDIS_TLS_KEY and REDIS_TLS_CA: some are missing.'
    fi
    tls=yes
fi
# An image may bring its own certificates, which REDIS_CONFIG names then.
case $newline${REDIS_CONFIG:-} in
    *"${newline}tls-cert-file "*) tls=${tls:-image} ;;
esac

# --- what the controller relies on: written last, so that nothing overrides it -----------------------

owned="dir $(quote "$data_dir")
daemonize no
cluster-enabled yes
cluster-config-file nodes.conf
cluster-announce-ip $address"
if [ -n "$task_id" ]; then
    owned="$owned${newline}cluster-announce-hostname $task_id"
fi
if [ -n "${REDIS_ADDRESS:-}" ]; then
    # bind-source-addr: replicas connect to their master from this address too; on loopback the
    # master would list all of them as 127.0.0.1 otherwise.
    owned="$owned${newline}bind $address${newline}bind-source-addr $address"
fi
if [ -n "$tls" ]; then
    owned="$owned
port 0
tls-port $port
tls-cluster yes
tls-replication yes"
    [ "$tls" = image ] || owned="$owned
tls-cert-file $(quote "$data_dir/tls.crt")
tls-key-file $(quote "$data_dir/tls.key")
tls-ca-cert-file $(quote "$data_dir/tls-ca.crt")"
else
    owned="$owned${newline}port $port"
fi

# --- REDIS_CONFIG: what it may not say, and what it leaves to us -------------------------------------

wanted=
has_maxmemory=
while read -r name value; do
    case $name in
        '' | '#'*) continue ;;
        *[!0-9A-Za-z-]*) die "REDIS_CONFIG has the line '$name …': options are named as in redis.conf, in letters and '-'." ;;
    esac
    lower=$(printf '%s' "$name" | tr '[:upper:]' '[:lower:]')
    case "$newline$owned$newline" in
        *"$newline$lower $value$newline"*) continue ;; # just what we write ourselves
        *"$newline$lower "*)
            die "REDIS_CONFIG sets $lower to '$value', but the cluster depends on this option being managed: remove it."
            ;;
    esac
    case $lower in
        requirepass | masterauth | primaryauth)
            die "REDIS_CONFIG sets $lower, where everybody can read it: give the password as the secret REDIS_PASSWORD."
            ;;
        cluster-announce-* | cluster-port | tls-port | tls-cluster | tls-replication)
            die "REDIS_CONFIG sets $lower, but the cluster depends on this option being managed: remove it."
            ;;
        maxmemory) has_maxmemory=yes ;;
    esac
    wanted="$wanted$lower $value$newline"
done <<END
${REDIS_CONFIG:-}
END

if [ -n "$has_maxmemory" ]; then
    maxmemory=
    say 'maxmemory: as REDIS_CONFIG says.'
elif [ -n "${REDIS_TASK_MEMORY_MIB:-}" ]; then
    want_number REDIS_TASK_MEMORY_MIB "$REDIS_TASK_MEMORY_MIB" 16 100000000
    # maxmemory counts the data, not what else the task's memory must hold, and ECS kills the task that
    # exceeds it: replication and client buffers, the allocator's fragmentation, the pages that are
    # written to while a forked child sends a copy to a new replica. A quarter is left for those.
    maxmemory="maxmemory $((REDIS_TASK_MEMORY_MIB * 3 / 4))mb"
    say "maxmemory: $((REDIS_TASK_MEMORY_MIB * 3 / 4)) MiB, 75 % of the task's $REDIS_TASK_MEMORY_MIB MiB; set maxmemory in REDIS_CONFIG to change it."
else
    maxmemory=
    say 'maxmemory: none, as neither REDIS_TASK_MEMORY_MIB nor a maxmemory in REDIS_CONFIG is set.'
fi

# --- the files ---------------------------------------------------------------------------------------

mkdir -p "$data_dir" 2>/dev/null || die "the data directory '$data_dir' cannot be created: check REDIS_DATA_DIR."

# Writes its input to a file of the data directory that only the server's user can read.
write() {
    { rm -f "$data_dir/$1" && cat >"$data_dir/$1"; } 2>/dev/null ||
        die "cannot write to '$data_dir/$1': check REDIS_DATA_DIR, its owner and the free space on it."
}

if [ "$tls" = yes ]; then
    printf '%s\n' "$REDIS_TLS_CERT" | write tls.crt || exit 1
    printf '%s\n' "$REDIS_TLS_KEY" | write tls.key || exit 1
    printf '%s\n' "$REDIS_TLS_CA" | write tls-ca.crt || exit 1
fi

# The defaults. Without `save ""` a disk that goes with the task gets snapshots that nobody can restore,
# and a fork that fails for want of memory makes the server refuse writes (stop-writes-on-bgsave-error).
# Replica migration stays off because the controller moves replicas, and a master that it has emptied
# must not turn into a replica by itself. Access is limited by the network and the password, not by
# protected-mode, which would refuse the other nodes.
{
    printf '%s\n' \
        'protected-mode no' \
        'cluster-node-timeout 15000' \
        'cluster-allow-replica-migration no' \
        'appendonly no' \
        'save ""'
    [ -z "$tls" ] || printf '%s\n' 'tls-auth-clients no'
    [ -z "$maxmemory" ] || printf '%s\n' "$maxmemory"
    printf '%s' "$wanted"
    if [ -n "$password" ]; then
        printf 'requirepass %s\n' "$(quote "$password")"
        printf 'masterauth %s\n' "$(quote "$password")"
    fi
    printf '%s\n' "$owned"
} | write redis.conf || exit 1

cd "$data_dir" || die "cannot enter the data directory '$data_dir': check REDIS_DATA_DIR."

say "starting $server at $address:$port${tls:+ with TLS}${password:+ with a password}${task_id:+ as task $task_id}."
unset REDIS_PASSWORD REDIS_TLS_CERT REDIS_TLS_KEY REDIS_TLS_CA password
exec "$found" "$data_dir/redis.conf"
