#!/bin/sh
# Gives Slipway its way into a Proxmox VE cluster: on one node, as root, once. From your own machine:
#
#   (umask 077; ssh root@NODE sh -s < infra/proxmox/make-token.sh > cluster.json)
#
# Makes five small roles, the user slipway@pve (without a password) with these roles, the token slipway@pve!main,
# and an SSH key of its own in root's authorized_keys. Prints the body of `POST /api/v1/clusters`: the token's
# secret and the SSH key are shown there only, and kept nowhere on the node. Run again, it makes both anew.
#
# NAME=home ADDRESS=10.0.0.2 may be given before `sh -s`: the cluster's name in Slipway, the node's address.
set -eu
umask 077
export LC_ALL=C

USER_ID=slipway@pve
TOKEN=main
KEYS=/root/.ssh/authorized_keys
NAME=${NAME:-home}
NODE=$(hostname -s)
ADDRESS=${ADDRESS:-$(hostname --ip-address | cut -d ' ' -f 1)}

# role ROLE PATH PRIVILEGES    the role with exactly these, given to the user on the path
role() {
    pveum role add "$1" --privs "$3" >/dev/null 2>&1 || pveum role modify "$1" --privs "$3" >&2
    pveum acl modify "$2" --users "$USER_ID" --roles "$1" >&2
}

# fail WORDS
fail() {
    printf 'make-token: %s\n' "$*" >&2
    exit 1
}

command -v pveum >/dev/null || fail "there is no pveum: run this on a node of Proxmox VE"
pveum user list --output-format json | grep -q "\"$USER_ID\"" || pveum user add "$USER_ID" --comment Slipway >&2
role SlipwayNodes / "Sys.Audit"
role SlipwayGuests /vms "VM.Allocate,VM.Audit,VM.Backup,VM.Clone,VM.Config.CPU,VM.Config.Disk,VM.Config.Memory,VM.Config.Network,VM.Config.Options,VM.Migrate,VM.PowerMgmt,VM.Snapshot,VM.Snapshot.Rollback"
role SlipwayStorage /storage "Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit"
role SlipwayNetwork /sdn "SDN.Audit,SDN.Use"
role SlipwayPools /pool "Pool.Audit"

pveum user token remove "$USER_ID" "$TOKEN" >/dev/null 2>&1 || :
secret=$(pveum user token add "$USER_ID" "$TOKEN" --privsep 0 --output-format json |
    tr -d '\n' | sed -n 's/.*"value" *: *"\([^"]*\)".*/\1/p')
[ -n "$secret" ] || fail "the token was made, but its secret can't be read from what pveum said"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
ssh-keygen -q -t ed25519 -N '' -C slipway-control-plane -f "$folder/key"
mkdir -p "${KEYS%/*}"
touch "$KEYS"
grep -v ' slipway-control-plane$' "$KEYS" >"$folder/keys" || :
cat "$folder/key.pub" >>"$folder/keys"
# Written into the file that is there: on a node it is a link into the cluster's own file system.
cat "$folder/keys" >"$KEYS"

certificate=/etc/pve/local/pveproxy-ssl.pem
[ -f "$certificate" ] || certificate=/etc/pve/local/pve-ssl.pem
fingerprint=$(openssl x509 -in "$certificate" -noout -fingerprint -sha256 | cut -d = -f 2)
host_key=$(cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub)
[ -n "$fingerprint" ] || fail "the certificate in $certificate can't be read"
[ -n "$host_key" ] || fail "there is no SSH host key in /etc/ssh/ssh_host_ed25519_key.pub"
private_key=$(awk '{printf "%s\\n", $0}' "$folder/key")

cat <<END
{
  "name": "$NAME",
  "endpoint": "https://$ADDRESS:8006",
  "token_id": "$USER_ID!$TOKEN",
  "token_secret": "$secret",
  "tls_fingerprint": "$fingerprint",
  "ssh": {
    "username": "root",
    "private_key": "$private_key",
    "nodes": {"$NODE": {"address": "$ADDRESS", "host_key": "$host_key"}}
  }
}
END
printf 'Slipway may now reach this cluster with the token %s!%s; add it with the file that was just written.\n' "$USER_ID" "$TOKEN" >&2
