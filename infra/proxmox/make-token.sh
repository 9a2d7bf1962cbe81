#!/bin/sh
# Gives one Slipway its way into a Proxmox VE cluster: on one node, as root. From your own machine:
#
#   (umask 077; ssh root@NODE sh -s < infra/proxmox/make-token.sh | sed -n '/^{/,$p' > cluster.json)
#
# Makes, all under an id of this Slipway's own, the user slipway-ID@pve (without a password), five small roles for
# it, its token slipway-ID@pve!main, and an SSH key in root's authorized_keys. Prints the body of
# `POST /api/v1/clusters`, and what it does on stderr. The token's secret and the SSH key are in that body only,
# and stored nowhere on the node. What another Slipway, or anybody else, has there is left as it is.
#
# Before `sh -s` may be given:
#   ID=ab12cd34        the id of a run before: makes that one's token and key anew; without it there is a new id
#   NAME=home          the cluster's name in Slipway
#   ADDRESS=10.0.0.2   the node's address, or its name
# `ID=ab12cd34 sh -s remove` takes away what was made under that id.
set -eu
umask 077
export LC_ALL=C

ROLES='Nodes Guests Storage Network Pools'
KEYS=/root/.ssh/authorized_keys
NAME=${NAME:-home}
ID=${ID:-}

# say WORDS
say() {
    printf 'make-token: %s\n' "$*" >&2
}

# fail WORDS
fail() {
    say "$@"
    exit 1
}

# role ROLE PATH PRIVILEGES    the role with exactly these, given to the user on the path
role() {
    pveum role add "slipway-$ID-$1" --privs "$3" >/dev/null 2>&1 ||
        pveum role modify "slipway-$ID-$1" --privs "$3" >&2
    pveum acl modify "$2" --users "$USER_ID" --roles "slipway-$ID-$1" >&2
    say "role slipway-$ID-$1 on $2"
}

# without_own_key    the keys that are not this id's
without_own_key() {
    grep -v " slipway-$ID\$" "$KEYS" || :
}

# lines_of FILE    its lines as one text of JSON
lines_of() {
    awk '{printf "%s\\n", $0}' "$1"
}

# covers CERTIFICATE ADDRESS    whether the cluster's CA vouches for it under this address
covers() {
    openssl verify -CAfile /etc/pve/pve-root-ca.pem "$1" >/dev/null 2>&1 || return 1
    openssl x509 -in "$1" -noout -checkip "$2" 2>/dev/null | grep -q 'does match' ||
        openssl x509 -in "$1" -noout -checkhost "$2" 2>/dev/null | grep -q 'does match'
}

command -v pveum >/dev/null || fail "there is no pveum: run this on a node of Proxmox VE"
case "$ID" in
*[!a-z0-9]* | ?????????????????????*) fail "ID is 1 to 20 small letters and digits, not '$ID'" ;;
esac
case "$NAME" in
*[!a-z0-9-]* | -*) fail "NAME is small letters, digits and hyphens, not '$NAME'" ;;
esac

if [ "${1:-}" = remove ]; then
    [ -n "$ID" ] || fail "say which: ID=... (it stands in the token's name: slipway-ID@pve!main)"
    pveum user delete "slipway-$ID@pve" >&2 || say "there is no user slipway-$ID@pve"
    for each in $ROLES; do
        pveum role delete "slipway-$ID-$each" >&2 || say "there is no role slipway-$ID-$each"
    done
    stored=$(without_own_key)
    printf '%s\n' "$stored" >"$KEYS"
    say "what was made under the id $ID is gone"
    exit 0
fi

[ -n "$ID" ] || ID=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
USER_ID=slipway-$ID@pve
NODE=$(hostname -s)
ADDRESS=${ADDRESS:-$(hostname --ip-address | cut -d ' ' -f 1)}
case "$ADDRESS" in
*:*) endpoint="https://[$ADDRESS]:8006" ;;
*) endpoint="https://$ADDRESS:8006" ;;
esac
trap 'say "not finished: run it again with ID=$ID, or take away what was made: ID=$ID sh -s remove"' EXIT

say "the id of this Slipway is $ID"
if pveum user list --output-format json | grep -q "\"$USER_ID\""; then
    say "user $USER_ID is there: its token and key are made anew"
else
    pveum user add "$USER_ID" --comment Slipway >&2
    say "user $USER_ID made"
fi
role Nodes / "Sys.Audit"
role Guests /vms "VM.Allocate,VM.Audit,VM.Backup,VM.Clone,VM.Config.CPU,VM.Config.Disk,VM.Config.Memory,VM.Config.Network,VM.Config.Options,VM.Migrate,VM.PowerMgmt,VM.Snapshot,VM.Snapshot.Rollback"
role Storage /storage "Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit"
role Network /sdn "SDN.Audit,SDN.Use"
role Pools /pool "Pool.Audit"

pveum user token remove "$USER_ID" main >/dev/null 2>&1 || :
secret=$(pveum user token add "$USER_ID" main --privsep 0 --output-format json |
    tr -d '\n' | sed -n 's/.*"value" *: *"\([^"]*\)".*/\1/p')
[ -n "$secret" ] || fail "the token was made, but its secret can't be read from what pveum said"
say "token $USER_ID!main made"

folder=$(mktemp -d)
trap 'rm -rf "$folder"; say "not finished: run it again with ID=$ID"' EXIT
ssh-keygen -q -t ed25519 -N '' -C "slipway-$ID" -f "$folder/key"
mkdir -p "${KEYS%/*}"
touch "$KEYS"
without_own_key >"$folder/keys"
cat "$folder/key.pub" >>"$folder/keys"
# Written into the file that is there: on a node it is a link into the cluster's own file system.
cat "$folder/keys" >"$KEYS"
say "SSH key slipway-$ID put into $KEYS"

# Renewed by the cluster itself, a certificate has the same CA as before; one that was put there by hand or by ACME
# says nothing about the next one, so it is pinned itself.
certificate=/etc/pve/local/pveproxy-ssl.pem
[ -f "$certificate" ] || certificate=/etc/pve/local/pve-ssl.pem
if [ "$certificate" = /etc/pve/local/pve-ssl.pem ] && covers "$certificate" "$ADDRESS"; then
    trust="\"ca\": \"$(lines_of /etc/pve/pve-root-ca.pem)\""
    say "the cluster's CA is pinned: certificates that it renews are believed"
else
    fingerprint=$(openssl x509 -in "$certificate" -noout -fingerprint -sha256 | cut -d = -f 2)
    [ -n "$fingerprint" ] || fail "the certificate in $certificate can't be read"
    trust="\"tls_fingerprint\": \"$fingerprint\""
    say "the certificate in $certificate is pinned: send its new fingerprint when it is renewed"
fi
host_key=$(cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub)
[ -n "$host_key" ] || fail "there is no SSH host key in /etc/ssh/ssh_host_ed25519_key.pub"

cat <<END
{
  "name": "$NAME",
  "endpoint": "$endpoint",
  "token_id": "$USER_ID!main",
  "token_secret": "$secret",
  $trust,
  "ssh": {
    "username": "root",
    "private_key": "$(lines_of "$folder/key")",
    "nodes": {"$NODE": {"address": "$ADDRESS", "host_key": "$host_key"}}
  }
}
END
trap 'rm -rf "$folder"' EXIT
say "Slipway may now reach this cluster with the token $USER_ID!main; add it with what was printed, then remove that file"
