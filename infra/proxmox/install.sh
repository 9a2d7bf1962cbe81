#!/bin/sh
# Makes Slipway's own container on this node of Proxmox VE, and connects it with the cluster. As root, in a folder
# with the files of one release (SHA256SUMS, SHA256SUMS.sig, the archive, this script):
#
#   sh proxmox-install.sh --key 'ssh-ed25519 AAAA...' [OPTIONS]     shows the plan, asks, and does it
#   sh /etc/slipway-install/install.sh remove [--plan] [--yes]      takes all of it away again
#
# --key KEY        the public key that must have signed SHA256SUMS
# --sums HASH      instead: the SHA-256 of SHA256SUMS, for a release that nobody has signed
# --plan           only shows what it would do
# --yes            does not ask
# --vmid N         of the container; without it the next free one
# --storage NAME   for its disk; without it the first that takes containers
# --templates NAME the storage with OS templates; without it the first that takes them
# --bridge NAME    its network; vmbr0
# --ip A/N         its address, with --gateway A; without it DHCP
# --name NAME      the cluster's name in Slipway; home
# --tier, --vmids, --pool, --mounts, --devices     what Slipway may do here, as make-token.sh has them
# --address A      of this node, as Slipway is to reach it; without it the node's own
#
# Run again it goes on where it stopped. What it has made stands in /etc/slipway-install, with what removes it.
set -eu
# Not tighter: `pct` makes folders on the node that the container's users have to pass, and hands this on into it.
umask 022
export LC_ALL=C

OWN=/etc/slipway-install
STATE=$OWN/state
DATA=/var/lib/slipway/data
PROGRAM=/usr/local/bin/slipway
PORT=7880
CORES=2 MEMORY_MIB=2048 SWAP_MIB=512 DISK_GIB=8
NETWORK_TRIES=30 READY_SECONDS=300

# say WORDS
say() {
    printf 'install: %s\n' "$*"
}

# fail WORDS
fail() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

# check NAME VALUE PATTERN    refuse an option whose value does not fit the pattern of grep -E
check() {
    case "$2" in
    *'
'*) fail "--$1 is one line" ;;
    esac
    printf '%s\n' "$2" | grep -Eqx -e "$3" || fail "--$1: '$2' can't be one"
}

# signed    refuse files that the key, or who compared the hash, does not stand for
signed() {
    [ -f SHA256SUMS ] || fail "there is no SHA256SUMS here: run this in the folder with the release's files"
    if [ -n "$key" ]; then
        [ -f SHA256SUMS.sig ] || fail "there is no SHA256SUMS.sig: this release is not signed; nothing was done"
        printf 'slipway namespaces="slipway-bundle" %s\n' "$key" >"$work/signers"
        ssh-keygen -Y verify -f "$work/signers" -I slipway -n slipway-bundle -s SHA256SUMS.sig <SHA256SUMS >/dev/null 2>&1 ||
            fail "SHA256SUMS.sig is not a signature of SHA256SUMS by that key: nothing was done"
    elif [ -n "$sums" ]; then
        [ "$(sha256sum <SHA256SUMS | cut -d ' ' -f 1)" = "$sums" ] ||
            fail "SHA256SUMS has another hash than $sums: nothing was done"
    else
        fail "say who vouches for these files: --key 'ssh-ed25519 AAAA...', the key that signs releases; or --sums HASH, the SHA-256 of SHA256SUMS that you have from elsewhere"
    fi
    sha256sum --quiet --strict --check SHA256SUMS >&2 || fail "a file is not as SHA256SUMS says: nothing was done"
    archive=$(sed -n 's/^[0-9a-f]\{64\}  \(slipway-[A-Za-z0-9._-]*\)\.tar\.gz$/\1/p' SHA256SUMS)
    [ "$(printf '%s\n' "$archive" | grep -c .)" = 1 ] || fail "SHA256SUMS does not name exactly one archive of Slipway"
    version=$(sha256sum <"$archive.tar.gz" | cut -d ' ' -f 1)
    tar xzf "$archive.tar.gz" -C "$work" --strip-components=1 "$archive/python" "$archive/make-token.sh"
}

# here PATH [OPTIONS]    what the node's API answers, as JSON
here() {
    path=$1
    shift
    pvesh get "$path" "$@" --output-format json
}

# pick FIELD    of JSON rows on standard input that may be used, one a line
pick() {
    perl -MJSON::PP -e '
        my $rows = decode_json(do { local $/; <STDIN> });
        for my $row (@$rows) {
            next if exists $row->{active} && !$row->{active} || exists $row->{enabled} && !$row->{enabled};
            print "$row->{$ARGV[0]}\n" if defined $row->{$ARGV[0]};
        }' "$1"
}

# one_of WANTED OPTION WORDS    the wanted line of standard input, or the first one
one_of() {
    lines=$(cat)
    [ -n "$lines" ] || fail "$3: there is none on this node"
    if [ -z "$1" ]; then
        printf '%s\n' "$lines" | sed 1q
        return
    fi
    printf '%s\n' "$lines" | grep -Fx -e "$1" ||
        fail "--$2: '$1' is not there; there is $(printf '%s' "$lines" | tr '\n' ' ')"
}

# template    sets the OS template, and whether it has to be downloaded
template() {
    case "$(cat "$work/python")" in
    3.11) series=debian-12-standard ;;
    3.13) series=debian-13-standard ;;
    *) fail "this bundle is for Python $(cat "$work/python"), which no Debian of an OS template has" ;;
    esac
    volume=$(here "/nodes/$node/storage/$templates/content" --content vztmpl | pick volid |
        grep -F -e ":vztmpl/${series}_" | sort -V | tail -n 1)
    download=
    [ -z "$volume" ] || return 0
    pveam update >/dev/null || say "the list of OS templates could not be renewed; the one that is here is used"
    download=$(pveam available --section system | awk '{ print $2 }' | grep -e "^${series}_" | sort -V | tail -n 1)
    [ -n "$download" ] || fail "no OS template $series is on $templates, and none can be downloaded"
    volume=$templates:vztmpl/$download
}

# is_ours    whether the container with the VMID is the one that this script has made
is_ours() {
    pct config "$vmid" 2>/dev/null | grep -Fq -e "slipway-install $id"
}

# stored NAME    what a run before has written down
stored() {
    sed -n "s/^$1=//p" "$STATE"
}

# inside COMMAND...    run it in the container; its output only if it fails
inside() {
    pct exec "$vmid" -- "$@" </dev/null >"$work/output" 2>&1 || {
        tail -n 20 "$work/output" >&2
        fail "in container $vmid this has failed: $*. Run the same again to go on"
    }
}

# slipway WORDS...    the CLI in the container, on its own installation
slipway() {
    pct exec "$vmid" -- "$PROGRAM" "$@" --data "$DATA"
}

# show_plan
show_plan() {
    cat <<END
On node $node, $(if [ -s "$STATE" ]; then echo "going on with what is there"; else echo "where nothing of it is there yet"; fi):
  release    $archive, $([ -n "$key" ] && echo "signed by the key you named" || echo "by the hash you named")
  template   $volume$([ -z "$download" ] || echo " (is downloaded)")
  container  $vmid$(is_ours && echo " (is there)"), "slipway", unprivileged, $CORES cores, $MEMORY_MIB MiB memory, $DISK_GIB GiB on $storage, starts with the node
  network    $bridge, $([ -z "$ip" ] && echo DHCP || echo "$ip")
  in it      Slipway as a service of systemd, HTTPS at port $PORT with a certificate of its own
  node       user slipway-$id@pve, its token, roles slipway-$id-..., tier $tier$([ "$tier" != full ] || echo "; an SSH key slipway-$id in root's authorized_keys, $([ -n "$vmids$pool" ] && echo "bound to${vmids:+ VMIDs $vmids}${pool:+ pool $pool}" || echo "NOT bound (--vmids or --pool binds it)")")
  folder     $OWN, by which all of it is found again
Take it away again: sh $OWN/install.sh remove
END
}

# agreed WORDS    ask, unless told not to
agreed() {
    [ -z "$yes" ] || return 0
    [ -t 0 ] || fail "there is no terminal to ask in: give --yes if this is right; nothing was changed"
    printf '%s [y/N] ' "$1"
    read -r answer || answer=
    [ "$answer" = y ] || [ "$answer" = yes ] || fail "nothing was changed"
}

# make_container
make_container() {
    if is_ours; then
        say "container $vmid is there"
    else
        [ -z "$download" ] || pveam download "$templates" "$download" >/dev/null
        network="name=eth0,bridge=$bridge,ip=${ip:-dhcp}${gateway:+,gw=$gateway}"
        pct create "$vmid" "$volume" --hostname slipway --unprivileged 1 --features nesting=1 --cores "$CORES" \
            --memory "$MEMORY_MIB" --swap "$SWAP_MIB" --rootfs "$storage:$DISK_GIB" --net0 "$network" --onboot 1 \
            --description "Slipway itself; slipway-install $id" >"$work/output" 2>&1 || {
            tail -n 20 "$work/output" >&2
            fail "the container could not be made"
        }
        say "container $vmid made"
    fi
    case "$(pct status "$vmid")" in
    *running*) ;;
    *)
        pct start "$vmid" >/dev/null || fail "container $vmid does not start"
        say "container $vmid started"
        ;;
    esac
    tries=$NETWORK_TRIES
    until pct exec "$vmid" -- sh -c 'ip -4 -o addr show dev eth0 | grep -q " inet "' </dev/null >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || fail "container $vmid gets no address on $bridge: is there DHCP? Else --ip and --gateway, after \`remove\`"
        sleep 2
    done
}

# install_program
install_program() {
    there=$(pct exec "$vmid" -- cat /opt/slipway/release </dev/null 2>/dev/null || :)
    if [ "$there" = "$version" ]; then
        say "the program is there"
        return
    fi
    [ -z "$there" ] || fail "container $vmid has another release of Slipway: this script installs, it does not upgrade"
    python=python$(cat "$work/python")
    pct exec "$vmid" -- sh -c "command -v $python" </dev/null >/dev/null || {
        say "$python comes from Debian, over the container's network"
        inside apt-get update -q
        inside env DEBIAN_FRONTEND=noninteractive apt-get install -q -y "$python"
    }
    inside rm -rf /root/slipway-bundle
    inside mkdir -m 700 /root/slipway-bundle
    pct exec "$vmid" -- tar xzf - -C /root/slipway-bundle --strip-components=1 <"$archive.tar.gz" ||
        fail "the archive could not be unpacked in container $vmid"
    inside sh /root/slipway-bundle/install.sh /opt/slipway
    inside sh -c "echo $version >/opt/slipway/release && rm -r /root/slipway-bundle"
    say "program installed in /opt/slipway"
}

# start_service
start_service() {
    if pct exec "$vmid" -- "$PROGRAM" service status </dev/null >/dev/null 2>&1; then
        say "the service runs"
    else
        inside "$PROGRAM" service install --port "$PORT" -- --host 0.0.0.0
        say "service installed and started"
    fi
    deadline=$(($(date +%s) + READY_SECONDS))
    until slipway cluster list -o name </dev/null >"$work/clusters" 2>"$work/output"; do
        [ "$(date +%s)" -lt "$deadline" ] || {
            tail -n 5 "$work/output" >&2
            fail "Slipway is not ready after $READY_SECONDS s: pct exec $vmid -- journalctl -u slipway"
        }
        sleep 2
    done
}

# connect    the token's secret and the key go from one program to the next, and stand nowhere
connect() {
    if grep -Fqx -e "$name" "$work/clusters"; then
        say "the cluster $name is connected"
        return
    fi
    say "Slipway's access is made, and the cluster connected"
    {
        ID=$id NAME=$name ADDRESS=$address TIER=$tier VMIDS=$vmids POOL=$pool MOUNTS=$mounts DEVICES=$devices \
            sh "$work/make-token.sh" 2>"$work/token" || cat "$work/token" >&2
    } | slipway cluster add - || fail "the cluster was not added: see above. Run the same again to go on"
}

# report
report() {
    at=$(pct exec "$vmid" -- sh -c 'ip -4 -o addr show dev eth0' </dev/null | sed -n 's/.* inet \([0-9.]*\).*/\1/p' | sed 1q)
    print=$(pct exec "$vmid" -- cat "$DATA/secrets/tls-certificate.pem" </dev/null |
        openssl x509 -noout -fingerprint -sha256 | cut -d = -f 2)
    cat <<END

Slipway is ready: https://$at:$PORT
Its certificate's SHA-256 fingerprint: $print
Sign in with the secret that this prints: pct exec $vmid -- cat $DATA/secrets/bootstrap-token
END
}

# remove
remove() {
    [ -s "$STATE" ] || fail "there is no $STATE: this script has made nothing here; nothing was changed"
    vmid=$(stored vmid) id=$(stored id)
    cat <<END
On node $node this goes, and does not come back:
  container  $vmid, with all data of Slipway: users, jobs, logs, stored passwords, and backups that lie in it
  node       user slipway-$id@pve with its token, roles slipway-$id-..., SSH key and forced command of slipway-$id
  folder     $OWN
  also, in every cluster that Slipway knows: its access there, and its line in the notes of guests
Guests that Slipway has made run on.
END
    [ -z "$plan" ] || return 0
    agreed "Remove it?"
    if is_ours; then
        case "$(pct status "$vmid")" in
        *running*)
            pct exec "$vmid" -- "$PROGRAM" uninstall --yes --data "$DATA" </dev/null ||
                say "what that has left on this node goes now; for other clusters see above"
            ;;
        *) say "container $vmid does not run: notes of guests and access to other clusters are left as they are" ;;
        esac
    elif ! here /cluster/nextid --vmid "$vmid" >/dev/null 2>&1; then
        say "guest $vmid is not the container that was made here: it is left as it is"
    fi
    ID=$id sh "$OWN/make-token.sh" remove >"$work/output" 2>&1 || {
        cat "$work/output" >&2
        fail "the access could not be removed"
    }
    if is_ours; then
        pct stop "$vmid" >/dev/null 2>&1 || :
        pct destroy "$vmid" --purge 1 >/dev/null || fail "container $vmid could not be destroyed"
    fi
    rm -r "$OWN"
    say "removed"
}

action=install plan='' yes='' key='' sums='' vmid='' storage='' templates='' bridge=vmbr0 ip='' gateway=''
name=home tier=full vmids='' pool='' mounts='' devices='' address=''
while [ $# -gt 0 ]; do
    case "$1" in
    remove) action=remove; shift; continue ;;
    --plan) plan=1; shift; continue ;;
    --yes) yes=1; shift; continue ;;
    esac
    [ $# -gt 1 ] || fail "there is no option $1, or it lacks its value"
    case "$1" in
    --key) check key "$2" '[a-z0-9@.-]+ [A-Za-z0-9+/=]+( .*)?'; key=$(printf '%s' "$2" | cut -d ' ' -f 1,2) ;;
    --sums) check sums "$2" '[0-9a-f]{64}'; sums=$2 ;;
    --vmid) check vmid "$2" '[1-9][0-9]{2,8}'; vmid=$2 ;;
    --storage) check storage "$2" '[A-Za-z][A-Za-z0-9_.-]*'; storage=$2 ;;
    --templates) check templates "$2" '[A-Za-z][A-Za-z0-9_.-]*'; templates=$2 ;;
    --bridge) check bridge "$2" '[A-Za-z0-9_.-]{1,15}'; bridge=$2 ;;
    --ip) check ip "$2" '[0-9.]+/[0-9]{1,2}'; ip=$2 ;;
    --gateway) check gateway "$2" '[0-9.]+'; gateway=$2 ;;
    --name) check name "$2" '[a-z0-9][a-z0-9-]*'; name=$2 ;;
    --tier) check tier "$2" 'observe|operate|full'; tier=$2 ;;
    --vmids) check vmids "$2" '[0-9,-]+'; vmids=$2 ;;
    --pool) check pool "$2" '[A-Za-z0-9._][A-Za-z0-9._/-]*'; pool=$2 ;;
    --mounts) check mounts "$2" '[A-Za-z0-9._+@:/ -]+'; mounts=$2 ;;
    --devices) check devices "$2" '[A-Za-z0-9._+@:/ -]+'; devices=$2 ;;
    --address) check address "$2" '[A-Za-z0-9.:-]+'; address=$2 ;;
    *) fail "there is no option $1" ;;
    esac
    shift 2
done

for program in pct pvesh pveam pveum perl; do
    command -v "$program" >/dev/null || fail "there is no $program: run this on a node of Proxmox VE"
done
[ "$(id -u)" = 0 ] || fail "run this as root: it makes a container, a user and a token"
node=$(hostname -s)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ "$action" = remove ]; then
    remove
    exit 0
fi
signed
storage=$(here "/nodes/$node/storage" --content rootdir | pick storage | one_of "$storage" storage "a storage for containers")
templates=$(here "/nodes/$node/storage" --content vztmpl | pick storage | one_of "$templates" templates "a storage for OS templates")
bridge=$(here "/nodes/$node/network" --type any_bridge | pick iface | one_of "$bridge" bridge "a bridge")
template
wanted=$vmid
if [ -s "$STATE" ]; then
    vmid=$(stored vmid) id=$(stored id)
else
    id=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n') vmid=
fi
if [ -n "$vmid" ] && is_ours; then
    # What was made stays where it is.
    [ -z "$wanted" ] || [ "$wanted" = "$vmid" ] || fail "Slipway is container $vmid here: --vmid can't be $wanted"
else
    [ -z "$vmid" ] || here /cluster/nextid --vmid "$vmid" >/dev/null 2>&1 ||
        fail "guest $vmid is not Slipway's container, or not on this node any more: go on where it is, or begin anew after \`sh $OWN/install.sh remove\`"
    vmid=${wanted:-${vmid:-$(here /cluster/nextid | tr -dc 0-9)}}
    here /cluster/nextid --vmid "$vmid" >/dev/null 2>&1 || fail "VMID $vmid is taken: give another one with --vmid"
fi
show_plan
[ -z "$plan" ] || exit 0
agreed "Do it?"
[ -d "$OWN" ] || mkdir -m 700 "$OWN"
cp "$work/make-token.sh" "$OWN/make-token.sh"
cp proxmox-install.sh "$OWN/install.sh"
printf 'vmid=%s\nid=%s\n' "$vmid" "$id" >"$STATE"
make_container
install_program
start_service
connect
report
