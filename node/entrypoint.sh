#!/bin/sh
# The entry point of a node: renders redis.conf from the environment, starts the server, and on SIGTERM
# hands a master's place over to a replica before it ends the server.
#
# It runs inline (`/bin/sh -c "<this text>"`) in stock redis and valkey images, Debian and Alpine:
# POSIX sh, dash and busybox alike, with nothing but cat, date, hostname, mkdir, rm, sed, sleep, timeout
# and tr beside it, and the server's client.
#
#   REDIS_PORT             default 6379; the cluster bus is at port + 10000
#   REDIS_ADDRESS          IPv4 address to bind and to announce; default: bind every interface and
#                          announce the first address of `hostname -i`
#   REDIS_PASSWORD         becomes requirepass and masterauth
#   REDIS_CONFIG           lines of redis.conf; they override the defaults below
#   REDIS_TASK_MEMORY_MIB  maxmemory becomes 75 % of it, unless REDIS_CONFIG gives a maxmemory
#   REDIS_DATA_DIR         default /data: the server's directory, and where redis.conf is written
#   REDIS_SERVER           default: redis-server, else valkey-server
#   REDIS_CLI              default: redis-cli, else valkey-cli
#   REDIS_TLS_CERT, REDIS_TLS_KEY, REDIS_TLS_CA
#                          PEM texts; all three or none. TLS then replaces the plain port, as it does
#                          with a tls-cert-file in REDIS_CONFIG: the image brings the files then
#   ECS_CONTAINER_METADATA_URI_V4
#                          set by ECS; the task id in it is announced as the node's hostname, which
#                          is how the controller knows which task answers at an address
#
# Secrets go into files that only the server's user can read. They are never an argument of a program,
# never logged, and the server does not find them in its environment; its client finds the password there.

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
cli=$(command -v "${REDIS_CLI:-redis-cli}" || command -v valkey-cli) ||
    die 'there is neither redis-cli nor valkey-cli on PATH: use a redis or valkey image, or set REDIS_CLI.'

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
tls_cert=$data_dir/tls.crt tls_key=$data_dir/tls.key tls_ca=$data_dir/tls-ca.crt
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
tls-cert-file $(quote "$tls_cert")
tls-key-file $(quote "$tls_key")
tls-ca-cert-file $(quote "$tls_ca")"
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
        aclfile | cluster-announce-* | cluster-port | masteruser | primaryuser | tls-ca-cert-dir | tls-cluster | tls-port | tls-replication | user)
            die "REDIS_CONFIG sets $lower, but the cluster depends on this option being managed: remove it."
            ;;
        maxmemory) has_maxmemory=yes ;;
        tls-cert-file) tls_cert=$value ;;
        tls-key-file) tls_key=$value ;;
        tls-ca-cert-file) tls_ca=$value ;;
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
# must not turn into a replica by itself. Without full coverage required, a shard serves its slots while
# another one has no master. Access is limited by the network and the password, not by protected-mode,
# which would refuse the other nodes.
#
# Replicas log in as a user that a new node lets in only once it has been introduced to others. Addresses
# are reused: the replicas of a dead master whose address a new task gets would copy its emptiness else.
{
    printf '%s\n' \
        'protected-mode no' \
        'cluster-node-timeout 15000' \
        'cluster-allow-replica-migration no' \
        'cluster-require-full-coverage no' \
        'appendonly no' \
        'save ""'
    [ -z "$tls" ] || printf '%s\n' 'tls-auth-clients no'
    [ -z "$maxmemory" ] || printf '%s\n' "$maxmemory"
    printf '%s' "$wanted"
    if [ -n "$password" ]; then
        printf 'requirepass %s\n' "$(quote "$password")"
        printf 'masterauth %s\n' "$(quote "$password")"
        printf 'user replica off ~* &* +@all %s\n' "$(quote ">$password")"
    else
        printf '%s\n' 'masterauth none' 'user replica off ~* &* +@all nopass'
    fi
    printf '%s\n' 'masteruser replica' "$owned"
} | write redis.conf || exit 1

cd "$data_dir" || die "cannot enter the data directory '$data_dir': check REDIS_DATA_DIR."

# --- what it takes to ask servers --------------------------------------------------------------------

# Sends the server at $1:$2 a command, and prints its answer: nothing, if there is none within 2 seconds.
ask() {
    at=$1 on=$2
    shift 2
    [ -z "$tls" ] || set -- --tls --cacert "$tls_ca" --cert "$tls_cert" --key "$tls_key" "$@"
    timeout 2 "$cli" -h "$at" -p "$on" "$@" 2>/dev/null | tr -d '\r'
}

myself() { ask "${REDIS_ADDRESS:-127.0.0.1}" "$port" "$@"; }

# --- the hand-over -----------------------------------------------------------------------------------

# Says what it has not just said.
tell() {
    [ "$1" = "$told" ] || say "$1"
    told=$1
}

# Sets $best to the address and port of the replica that has come farthest of those that are online and not
# yet in $tried, to nothing if there is none; and $coming to the others, which are still synchronising.
find_best() {
    best='' most=-1 coming=''
    while IFS=:=, read -r name _ replica_ip _ replica_port _ state _ offset _; do
        case $name in slave[0-9]*) ;; *) continue ;; esac
        case $tried in *" $replica_ip $replica_port,"*) continue ;; esac
        if [ "$state" != online ]; then
            coming="$coming $replica_ip $replica_port"
        elif [ "$offset" -gt "$most" ]; then
            best="$replica_ip $replica_port" most=$offset
        fi
    done <<END
$(myself INFO replication)
END
}

# Whether there are replicas that are in contact with this master, whether they follow it yet or not.
knows_replicas() {
    [ -n "$(myself CLUSTER NODES | sed -n "/ slave $(myself CLUSTER MYID) .* connected\$/p")" ]
}

# Sets $best as find_best does, but waits for a replica that is still synchronising, and at first for those
# that are yet to connect: they have heard of this master only now.
await_best() {
    find_best
    while [ -z "$best" ] && [ "$(date +%s)" -lt "$give_up" ]; do
        if [ -n "$coming" ]; then
            tell "stopping:$coming is still synchronising: waiting."
        elif [ -z "$tried" ] && [ "$(date +%s)" -lt "$settled" ] && knows_replicas; then
            tell 'stopping: its replicas are yet to connect: waiting.'
        else
            break
        fi
        sleep 0.2
        find_best
    done
}

# Lets a synchronised replica take this master's place: it stops taking writes, the replica catches up and
# is elected, and nothing that was acknowledged is lost with this node. Ends within 100 seconds, whoever does
# not answer; the server itself then gives replicas that lag 10 more (its shutdown-timeout).
hand_over() {
    case $(myself ROLE) in
        master*) ;;
        '') say 'stopping: the server gives no answer, so nothing is handed over.' && return ;;
        *) say 'stopping: this node is no master, there is nothing to hand over.' && return ;;
    esac
    case $(myself CLUSTER NODES | sed -n '/ myself,/s/^\([^ ]* \)\{8\}//p') in
        [0-9]*) ;;
        *) say 'stopping: this master has no slots, there is nothing to hand over.' && return ;;
    esac
    tried='' told='' settled=$(($(date +%s) + 5)) give_up=$(($(date +%s) + 90))
    await_best
    [ -n "$best" ] || say 'stopping: no replica is online that could take over.'
    while [ -n "$best" ] && [ "$(date +%s)" -lt "$give_up" ]; do
        tell "stopping: $best is to take over."
        answer=$(ask "${best% *}" "${best#* }" CLUSTER FAILOVER)
        case $answer in
            LOADING*) # the copy came by way of the disk
                sleep 0.2
                await_best
                continue
                ;;
        esac
        tried="$tried $best,"
        # Redis gives a failover up after 5 seconds.
        next=$(($(date +%s) + 6))
        while [ "$answer" = OK ] && [ "$(date +%s)" -lt "$next" ]; do
            case $(myself ROLE) in
                slave*) say 'stopping: it has taken over.' && return ;;
            esac
            sleep 0.05
        done
        say "stopping: it has not taken over${answer:+, and said: $answer}."
        await_best
    done
}

# Lets replicas in once this node knows others, whom only the controller introduces.
let_replicas_in() {
    while kill -0 "$child" 2>/dev/null; do
        known=$(myself CLUSTER INFO | sed -n 's/^cluster_known_nodes://p')
        if [ "${known:-1}" -gt 1 ] && [ "$(myself ACL SETUSER replica on)" = OK ]; then
            say 'this node has been introduced to others: the user replica is enabled.' && return
        fi
        sleep 0.2
    done
}

# --- the server --------------------------------------------------------------------------------------

[ -z "$password" ] || export REDISCLI_AUTH="$password"

say "starting $server at $address:$port${tls:+ with TLS}${password:+ with a password}${task_id:+ as task $task_id}."
stopping=
trap 'stopping=yes' TERM INT
(
    unset REDIS_PASSWORD REDIS_TLS_CERT REDIS_TLS_KEY REDIS_TLS_CA REDISCLI_AUTH password
    exec "$found" "$data_dir/redis.conf"
) &
child=$!
let_replicas_in &
# Ends with the server, or with a signal. More signals change nothing: all that follows ends by itself.
wait "$child"
status=$?
if [ -n "$stopping" ]; then
    hand_over
    kill -TERM "$child" 2>/dev/null
    while kill -0 "$child" 2>/dev/null; do
        wait "$child"
        status=$?
    done
fi
exit "$status"
