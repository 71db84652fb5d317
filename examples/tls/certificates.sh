#!/bin/sh
# Makes a certificate authority for one cluster and a certificate of it, and prints what the secret
# holds: JSON with the PEM texts cert, key and ca. Needs openssl.
#
#   ./certificates.sh [DNS name, default redis-cluster.local] [days, default 365]

set -eu
umask 077
name=${1:-redis-cluster.local}
days=${2:-365}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

openssl req -x509 -newkey rsa:3072 -nodes -days "$days" -subj "/CN=$name CA" \
    -addext 'keyUsage=critical,keyCertSign,cRLSign' -keyout ca.key -out ca.crt 2>/dev/null
openssl req -newkey rsa:3072 -nodes -subj "/CN=$name" -keyout tls.key -out tls.csr 2>/dev/null
# Nodes are servers to clients, and clients to each other.
printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$name" >extensions
openssl x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days "$days" \
    -extfile extensions -out tls.crt 2>/dev/null

# A PEM text as a JSON string.
quoted() { awk 'BEGIN { printf "\"" } { printf "%s\\n", $0 } END { printf "\"" }' "$1"; }
printf '{"cert": %s, "key": %s, "ca": %s}\n' "$(quoted tls.crt)" "$(quoted tls.key)" "$(quoted ca.crt)"
