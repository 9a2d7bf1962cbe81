#!/bin/sh
# Gives one Slipway its way into a Proxmox VE cluster: on one node, as root. From your own machine:
#
#   (umask 077; ssh root@NODE sh -s < infra/proxmox/make-token.sh | sed -n '/^{/,$p' > cluster.json)
#
# Makes, all under an id of this Slipway's own, the user slipway-ID@pve (without a password), a few small roles for
# it, its token slipway-ID@pve!main, and at tier full an SSH key in root's authorized_keys. Prints the body of
# `POST /api/v1/clusters`, and what it does on stderr. The token's secret and the SSH key are in that body only,
# and stored nowhere on the node. What another Slipway, or anybody else, has there is left as it is.
#
# Before `sh -s` may be given:
#   ID=ab12cd34        the id of a run before: makes that one's token and key anew; without it there is a new id
#   NAME=home          the cluster's name in Slipway
#   ADDRESS=10.0.0.2   the node's address, or its name
#   TIER=observe       how much Slipway may do: observe (read), operate (and power, snapshots, backups), full (all)
# With the same ID, another TIER raises or lowers exactly. At tier full the SSH key is bound to a forced command
# that refuses all but what Slipway does to containers within these limits, if one of the first two is given; a key
# that is bound stays so, a run without both keeps them:
#   VMIDS=100-199,300  the VMIDs, and / or
#   POOL=slipway       the pool, nested ones included, that a container has to be in; the token's rights end there too
#   MOUNTS='/srv /mnt/data'        folders of the node below which bind mounts may begin
#   DEVICES='/dev/dri /dev/net/tun'   devices of the node, or folders of them, that containers may have
#   FEATURES='mount mknod'         what reaches into the node: mount, mknod, force_rw_sys; privileged: containers
#                                  whose root is the node's own
#   HOOKSCRIPTS=local:snippets/x   hook scripts, which the node runs as root
#   LIKE=ef56ab78      the id of another access of this Slipway, whose limits are taken as one's own before
# `ID=ab12cd34 sh -s remove` takes away what was made under that id.
set -eu
umask 077
export LC_ALL=C

ROLES='Nodes Guests Storage Network Pools Watch'
KEYS=/root/.ssh/authorized_keys
NAME=${NAME:-home}
ID=${ID:-}
LIKE=${LIKE:-$ID}
TIER=${TIER:-full}
VMIDS=${VMIDS:-} POOL=${POOL:-}
MOUNTS=${MOUNTS:-} DEVICES=${DEVICES:-} FEATURES=${FEATURES:-} HOOKSCRIPTS=${HOOKSCRIPTS:-}

# say WORDS
say() {
    printf 'make-token: %s\n' "$*" >&2
}

# fail WORDS
fail() {
    say "$@"
    exit 1
}

# make_folder    a folder that is there only while this runs: the private key is in it
make_folder() {
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    # A shell that is ended from outside, as by a connection that is lost, does nothing at its exit else.
    trap 'exit 1' HUP INT PIPE TERM
}

# role ROLE PATH PRIVILEGES    the role with exactly these, given to the user on the path
role() {
    pveum role add "slipway-$ID-$1" --privs "$3" >/dev/null 2>&1 ||
        pveum role modify "slipway-$ID-$1" --privs "$3" >&2
    pveum acl modify "$2" --users "$USER_ID" --roles "slipway-$ID-$1" >&2
    say "role slipway-$ID-$1 on $2"
}

# without_own_key    the keys that are not this id's; all bytes as they are, a last line without its end too
without_own_key() {
    [ -s "$KEYS" ] || return 0
    grep -av " slipway-$ID\$" "$KEYS" || [ $? = 1 ]
}

# store_keys FILE    make these root's keys, at once: what fails midway leaves the ones that are there
store_keys() {
    # On a node it is a link into the cluster's own file system, and stays one.
    target=$(readlink -f "$KEYS")
    cat "$1" >"$target.slipway-$ID"
    mv -f "$target.slipway-$ID" "$target"
}

# check NAME PATTERN WORDS    refuse the run if one of the words does not fit the pattern of grep -E
check() {
    name=$1 pattern=$2
    shift 2
    for word; do
        printf '%s\n' "$word" | grep -Eqx -e "$pattern" || fail "$name: '$word' can't be one"
        case "$word/" in
        */../* | */./* | *//*) fail "$name: '$word' is not a plain path" ;;
        esac
    done
}

# check_limits    refuse limits that are not exactly what they seem
check_limits() {
    set -f
    # shellcheck disable=SC2086 # words
    check VMIDS '[1-9][0-9]{2,8}(-[1-9][0-9]{2,8})?' $(printf '%s' "$VMIDS" | tr ',' ' ')
    [ -z "$POOL" ] || check POOL '[A-Za-z0-9._][A-Za-z0-9._/-]*' "$POOL"
    # shellcheck disable=SC2086
    check MOUNTS '(/[A-Za-z0-9._+@:-]+)+' $MOUNTS
    # shellcheck disable=SC2086
    check DEVICES '/dev(/[A-Za-z0-9._+@:-]+)+' $DEVICES
    # shellcheck disable=SC2086
    check FEATURES 'mount|mknod|force_rw_sys|privileged' $FEATURES
    # shellcheck disable=SC2086
    check HOOKSCRIPTS '[A-Za-z][A-Za-z0-9_.-]*:snippets/[A-Za-z0-9._/-]+' $HOOKSCRIPTS
    set +f
    case "$VMIDS$POOL" in
    *'
'*) fail "VMIDS and POOL are one line each" ;;
    esac
}

# limits    the data of the forced command, one limit a line
limits() {
    printf '%s\n' "$VMIDS" | tr ', ' '\n\n' | sed '/./!d; s/^/vmids /'
    printf '%s\n' "$POOL" | sed '/./!d; s/^/pool /'
    printf '%s\n' "$MOUNTS" | tr ' \t' '\n\n' | sed '/./!d; s/^/mount /'
    printf '%s\n' "$DEVICES" | tr ' \t' '\n\n' | sed '/./!d; s/^/device /'
    printf '%s\n' "$FEATURES" | tr ' \t' '\n\n' | sed '/./!d; s/^/feature /'
    printf '%s\n' "$HOOKSCRIPTS" | tr ' \t' '\n\n' | sed '/./!d; s/^/hookscript /'
}

# stored LIMIT    the values of a limit that a run before has bound the key to, in one line
stored() {
    sed '1,/^__DATA__$/d' "/etc/pve/priv/slipway-$LIKE" | sed -n "s/^$1 //p" | tr '\n' ' ' | sed 's/ $//'
}

# vmid_range    the body's field for the VMIDs that the key is bound to, if they are one range: from these is chosen
vmid_range() {
    # shellcheck disable=SC2046 # words of digits and hyphens, as was checked
    set -- $(printf '%s' "$VMIDS" | tr ',' ' ')
    [ $# = 1 ] && [ "${1%-*}" -le "${1#*-}" ] || return 0
    printf '\n  "vmids": {"first": %s, "last": %s},' "${1%-*}" "${1#*-}"
}

# lines_of FILE    its lines as one text of JSON
lines_of() {
    sed 's/$/\\n/' "$1" | tr -d '\n'
}

# forced_command    print the program that the SSH key is bound to; its limits follow as its data
forced_command() {
    cat <<'PERL'
#!/usr/bin/perl -T
# What one Slipway may do on this node over SSH, made by its make-token.sh. sshd runs this for Slipway's key, whatever
# was asked for. A request is taken only in the one form that Slipway sends: two marks to print, then one of the
# commands below, its words quoted for a shell. No shell reads any of it here, but for one text that never varies: it
# is taken apart, compared word by word, and what is allowed is executed as a list. Everything else is refused with
# one line, and logged.
use strict;
use warnings;
use Cwd ();
use POSIX ();

my $request = $ENV{SSH_ORIGINAL_COMMAND};
%ENV = (
    PATH => '/usr/sbin:/usr/bin:/sbin:/bin', HOME => '/root', USER => 'root', LOGNAME => 'root',
    SHELL => '/bin/sh', LANG => 'C',
);
$| = 1;

my %limits;
while (my $line = <DATA>) {
    chomp $line;
    my ($kind, $value) = $line =~ m{\A([a-z]+) ([ -~]+)\z} or refuse('the limits can not be read');
    push @{ $limits{$kind} }, $value;
}
$limits{vmids} || $limits{pool} or refuse('there are no limits');

# What lists devices and mounts: the one text that a shell is given, and always the same.
my $devices = 'find /dev -maxdepth 4 -type c; echo; cat /proc/self/mounts; echo; lsusb 2>/dev/null';

my ($mark, @words) = words($request);
my $begin = join ' ', @words[0 .. ($#words > 1 ? 1 : $#words)];
if (join("\0", @words) eq join("\0", 'sh', '-c', 'command -v pct && hostname')) {
    -x '/usr/sbin/pct' or refuse('there is no pct');
    begin($mark);
    print "/usr/sbin/pct\nlimits ", shown_limits(), "\n", (POSIX::uname())[1], "\n";
    exit 0;
} elsif (join("\0", @words) eq join("\0", 'sh', '-c', $devices)) {
    run($mark, '/bin/sh', @words);
} elsif ($begin eq 'realpath -e') {
    @words == 4 && $words[2] eq '--' or refuse('realpath takes one path');
    look_at($words[3]);
    run($mark, '/usr/bin/realpath', @words);
} elsif ($begin eq 'pct exec') {
    within($words[2]);
    unprivileged($words[2]);
    @words > 4 && $words[3] eq '--' or refuse('pct exec takes no options');
} elsif ($begin eq 'pct set') {
    within($words[2]);
    unprivileged($words[2]);
    @words > 4 && @words % 2 or refuse('pct set takes options with values');
    my @options = @words[3 .. $#words];
    while (my ($name, $value) = splice @options, 0, 2) {
        option($name, $value);
    }
} elsif ($begin eq 'pct unlock') {
    within($words[2]);
    @words == 3 or refuse('pct unlock takes no options');
} elsif ($begin eq 'pct destroy') {
    within($words[2]);
    @words == 5 && $words[3] eq '--purge' && $words[4] eq '1' or refuse('pct destroy takes --purge 1 only');
} else {
    refuse('Slipway runs no such command on a node');
}
run($mark, '/usr/sbin/pct', @words);

# The mark and the words of a request in the form that Slipway sends.
sub words {
    my ($text) = @_;
    defined $text or refuse('there is no login shell for this key');
    my ($mark, $rest) = $text =~
        m{\Aprintf '\\n%s\\n' ([0-9a-f]{16}); printf '\\n%s\\n' \1 >&2; exec (.+)\z}s
        or refuse('it is not in the form that Slipway sends');
    my @words;
    while (1) {
        if ($rest =~ m{\G([A-Za-z0-9_@%+=:,./-]+)}gc) {
            push @words, $1;
        } elsif ($rest =~ m{\G'([^']*(?:'"'"'[^']*)*)'}gc) {
            (my $word = $1) =~ s{'"'"'}{'}g;
            push @words, $word;
        } else {
            refuse('it is not quoted as Slipway quotes');
        }
        last if $rest =~ m{\G\z}gc;
        $rest =~ m{\G }gc or refuse('it is not quoted as Slipway quotes');
    }
    return ($mark, @words);
}

# Refuse a container out of the limits.
sub within {
    my ($vmid) = @_;
    defined $vmid && $vmid =~ m{\A[1-9][0-9]{2,8}\z} or refuse('there is no VMID');
    if ($limits{vmids}) {
        my $is_in = grep {
            my ($first, $last) = m{\A([0-9]+)(?:-([0-9]+))?\z};
            $first <= $vmid && $vmid <= ($last // $first);
        } @{ $limits{vmids} };
        $is_in or refuse("container $vmid is not one of @{ $limits{vmids} }");
    }
    if ($limits{pool}) {
        grep { $_ eq $vmid } map { members($_) } @{ $limits{pool} }
            or refuse("container $vmid is not in the pool @{ $limits{pool} }");
    }
}

# Refuse a container whose root is the node's own root, without a user namespace between them.
sub unprivileged {
    my ($vmid) = @_;
    my $path = "/etc/pve/lxc/$vmid.conf";
    # That there is none on this node, pct says itself.
    return if listed('feature', 'privileged') || !-e $path;
    open my $file, '<', $path or refuse("the config of container $vmid can not be read");
    while (my $line = <$file>) {
        return if $line =~ m{\Aunprivileged:\s*1\s*\z};
        last if $line =~ m{\A\[};
    }
    refuse("container $vmid is privileged");
}

# The guests of a pool and of those nested in it.
sub members {
    my ($pool) = @_;
    open my $file, '<', '/etc/pve/user.cfg' or refuse('the pools can not be read');
    my @vmids;
    while (my $line = <$file>) {
        my ($id, $guests) = $line =~ m{\Apool:([^:]*):[^:]*:([^:]*):} or next;
        push @vmids, split m{,}, $guests if $id eq $pool || index($id, "$pool/") == 0;
    }
    return @vmids;
}

# Refuse an option of `pct set` that reaches into the node in a way that the limits do not list.
sub option {
    my ($name, $value) = @_;
    # A container's config is lines: a value is never more than one.
    $value !~ m{[\x00-\x1f\x7f]} or refuse("pct set $name takes one line");
    if ($name eq '--features') {
        for my $each (split m{,}, $value, -1) {
            next if $each =~ m{\A(?:nesting|keyctl|fuse)=[01]\z};
            $each =~ m{\A(mknod|force_rw_sys)=[01]\z|\A(mount)=[a-z0-9;]+\z} or refuse("no feature is like $each");
            my $feature = $1 // $2;
            listed('feature', $feature) or refuse("the feature $feature is not allowed");
        }
    } elsif ($name =~ m{\A--mp[0-9]{1,3}\z}) {
        my ($source, $rest) = $value =~ m{\A(/[^,]*),mp=/[^,]*(?:,ro=1)?\z}
            or refuse('only a folder of the node is mounted this way');
        place('mount', $source);
    } elsif ($name =~ m{\A--dev[0-9]{1,3}\z}) {
        my ($device) = $value =~ m{\A(/dev/[^,]+)(?:,(?:[ug]id=[0-9]{1,10}|mode=0[0-7]{3}|deny-write=[01]))*\z}
            or refuse('it is not a device');
        place('device', $device);
    } elsif ($name eq '--hookscript') {
        listed('hookscript', $value) or refuse("the hook script $value is not allowed");
    } elsif ($name eq '--delete' || $name eq '--revert') {
        $value =~ m{\A(?:(?:mp|dev)[0-9]{1,3}|hookscript|features)(?:,(?:(?:mp|dev)[0-9]{1,3}|hookscript|features))*\z}
            or refuse("pct set $name takes other settings");
    } else {
        refuse("pct set $name is not allowed");
    }
}

# Refuse a place of the node that is not allowed, or that somebody else could turn into a link to another one.
sub place {
    my ($kind, $path) = @_;
    is_below($kind, $path) or refuse("$path is not below a $kind path that is allowed");
    -e $path or refuse("$path is not there");
    (Cwd::abs_path($path) // '') eq $path or refuse("$path is a link, or leads through one");
    for (my $parent = $path; $parent =~ s{/[^/]*\z}{} ;) {
        my (undef, undef, $mode, undef, $owner) = lstat($parent eq '' ? '/' : $parent);
        defined $owner && $owner == 0 && !($mode & 022)
            or refuse("others than root may write to $parent/, so $path could become a link");
    }
}

# Refuse to say where a path leads that is out of the limits, or leads out of them.
sub look_at {
    my ($path) = @_;
    is_below('mount', $path) || is_below('device', $path) or refuse("$path is not below a path that is allowed");
    my $real = -e $path ? Cwd::abs_path($path) : $path;
    defined $real && (is_below('mount', $real) || is_below('device', $real))
        or refuse("$path leads out of the paths that are allowed");
}

sub is_below {
    my ($kind, $path) = @_;
    return 0 if $path !~ m{\A(?:/[^/,\0\n]+)+\z} || $path =~ m{/\.\.?(?:/|\z)};
    return scalar grep { $path eq $_ || index($path, "$_/") == 0 } @{ $limits{$kind} // [] };
}

sub listed {
    my ($kind, $value) = @_;
    return scalar grep { $_ eq $value } @{ $limits{$kind} // [] };
}

sub shown_limits {
    return join '; ', map { "$_ " . join ' ', @{ $limits{$_} } } sort keys %limits;
}

sub begin {
    my ($mark) = @_;
    print "\n$mark\n";
    print STDERR "\n$mark\n";
}

sub run {
    my ($mark, $program, @words) = @_;
    begin($mark);
    { exec { $program } @words }
    refuse("$program can not be run");
}

sub refuse {
    my ($why) = @_;
    my $asked = $request // '';
    $asked =~ s{\Aprintf [^>]* >&2; exec }{};
    $asked = substr $asked, 0, 300;
    s{[^ -~]}{?}g for $why, $asked;
    my ($line) = "refused: $why; asked for: $asked" =~ m{\A(.*)\z}s;
    system { '/usr/bin/logger' } 'logger', '-t', 'slipway-ssh', '-p', 'auth.warning', '--', $line;
    print STDERR "slipway-ssh refused: $why\n";
    exit 126;
}
__DATA__
PERL
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
case "$LIKE" in
*[!a-z0-9]* | ?????????????????????*) fail "LIKE is an id, not '$LIKE'" ;;
esac
case "$NAME" in
*[!a-z0-9-]* | -*) fail "NAME is small letters, digits and hyphens, not '$NAME'" ;;
esac
if [ "${1:-}" != remove ] && [ "$TIER" = full ] && [ -n "$LIKE" ] && [ -z "$VMIDS$POOL" ] && [ -s "/etc/pve/priv/slipway-$LIKE" ]; then
    # A key that was bound is not let loose by a run that only makes it anew: `remove` does that.
    VMIDS=$(stored vmids) POOL=$(stored pool)
    MOUNTS=${MOUNTS:-$(stored mount)} DEVICES=${DEVICES:-$(stored device)}
    FEATURES=${FEATURES:-$(stored feature)} HOOKSCRIPTS=${HOOKSCRIPTS:-$(stored hookscript)}
    say "the SSH key of the id $LIKE is bound: the limits that are not given stay"
fi
case "$TIER" in
observe | operate)
    [ -z "$VMIDS$POOL$MOUNTS$DEVICES$FEATURES$HOOKSCRIPTS" ] || fail "at tier $TIER there is no SSH key to bind"
    ;;
full)
    [ -n "$VMIDS$POOL" ] || [ -z "$MOUNTS$DEVICES$FEATURES$HOOKSCRIPTS" ] ||
        fail "limits bind the SSH key only together with VMIDS or POOL"
    ;;
*) fail "TIER is observe, operate or full, not '$TIER'" ;;
esac
check_limits

if [ "${1:-}" = remove ]; then
    [ -n "$ID" ] || fail "say which: ID=... (it stands in the token's name: slipway-ID@pve!main)"
    still=
    # Only who is not there needs no deletion: a lock of the cluster that is not free is no such answer.
    users=$(pveum user list --output-format json) || still=1
    case "$users" in
    *"\"slipway-$ID@pve\""*) pveum user delete "slipway-$ID@pve" >&2 || still=1 ;;
    *) [ -n "$still" ] || say "there is no user slipway-$ID@pve" ;;
    esac
    for each in $ROLES; do
        # A tier or a bound makes some of them only.
        said=$(pveum role delete "slipway-$ID-$each" 2>&1) || case "$said" in
        *"does not exist"*) ;;
        *) say "the role slipway-$ID-$each stays: $said" ;;
        esac
    done
    if [ -e "$KEYS" ]; then
        make_folder
        without_own_key >"$folder/keys"
        store_keys "$folder/keys"
    fi
    rm -f "/etc/pve/priv/slipway-$ID"
    [ -z "$still" ] || fail "the SSH key is gone, but the user slipway-$ID@pve with its token is not: run this again"
    say "what was made under the id $ID is gone"
    exit 0
fi

[ -n "$ID" ] || ID=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
# In the cluster's own file system, as root's authorized_keys is: what binds a key is on every node that takes it.
FORCED=/etc/pve/priv/slipway-$ID
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
    # With the user go all its rights: those of a tier before must not stay.
    pveum user delete "$USER_ID" >&2
    say "user $USER_ID is there: it, its token and key are made anew"
fi
pveum user add "$USER_ID" --comment Slipway >&2
say "user $USER_ID made, tier $TIER"
guests=/vms
if [ -n "$POOL" ]; then
    guests=/pool/$POOL
    role Watch /vms "VM.Audit"
fi
role Nodes / "Sys.Audit"
case "$TIER" in
observe)
    role Guests /vms "VM.Audit"
    role Storage /storage "Datastore.Audit"
    role Network /sdn "SDN.Audit"
    ;;
operate)
    role Guests /vms "VM.Audit,VM.Backup,VM.PowerMgmt,VM.Snapshot,VM.Snapshot.Rollback"
    role Storage /storage "Datastore.AllocateSpace,Datastore.Audit"
    role Network /sdn "SDN.Audit"
    ;;
full)
    # A deeper path replaces the rights above it: within the pool Pool.Audit would be gone.
    role Guests "$guests" "VM.Allocate,VM.Audit,VM.Backup,VM.Clone,VM.Config.CPU,VM.Config.Disk,VM.Config.Memory,VM.Config.Network,VM.Config.Options,VM.Migrate,VM.PowerMgmt,VM.Snapshot,VM.Snapshot.Rollback${POOL:+,Pool.Audit}"
    role Storage /storage "Datastore.AllocateSpace,Datastore.AllocateTemplate,Datastore.Audit"
    role Network /sdn "SDN.Audit,SDN.Use"
    ;;
esac
role Pools /pool "Pool.Audit"

secret=$(pveum user token add "$USER_ID" main --privsep 0 --output-format json |
    tr -d '\n' | sed -n 's/.*"value" *: *"\([^"]*\)".*/\1/p')
[ -n "$secret" ] || fail "the token was made, but its secret can't be read from what pveum said"
say "token $USER_ID!main made"

make_folder
trap 'rm -rf "$folder"; say "not finished: run it again with ID=$ID"' EXIT
mkdir -p "${KEYS%/*}"
: >"$folder/line"
ssh=
if [ "$TIER" = full ]; then
    ssh-keygen -q -t ed25519 -N '' -C "slipway-$ID" -f "$folder/key"
    if [ -n "$VMIDS$POOL" ]; then
        command -v perl >/dev/null || fail "there is no perl, in which the forced command is written"
        mkdir -p "${FORCED%/*}"
        { forced_command; limits; } >"$folder/forced"
        cat "$folder/forced" >"$FORCED"
        printf 'restrict,command="/usr/bin/perl -T %s" ' "$FORCED" >"$folder/line"
        say "the SSH key is bound to $FORCED, which refuses all but this:"
        limits >&2
    else
        rm -f "$FORCED"
        say "WARNING: THE SSH KEY IS NOT BOUND. Whoever has it is root on every node of the cluster."
        say "WARNING: To bind it, run this again with ID=$ID and VMIDS=100-199, or POOL=slipway."
    fi
    cat "$folder/key.pub" >>"$folder/line"
else
    rm -f "$FORCED"
fi
without_own_key >"$folder/keys"
cat "$folder/line" >>"$folder/keys"
store_keys "$folder/keys"
if [ "$TIER" = full ]; then
    say "SSH key slipway-$ID put into $KEYS"
else
    say "tier $TIER: no SSH key slipway-$ID is in $KEYS"
fi

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

[ "$TIER" != full ] || ssh=",
  \"ssh\": {
    \"username\": \"root\",
    \"private_key\": \"$(lines_of "$folder/key")\",
    \"nodes\": {\"$NODE\": {\"address\": \"$ADDRESS\", \"host_key\": \"$host_key\"}}
  }"
cat <<END
{
  "name": "$NAME",
  "tier": "$TIER",$(vmid_range)
  "endpoint": "$endpoint",
  "token_id": "$USER_ID!main",
  "token_secret": "$secret",
  $trust$ssh
}
END
trap 'rm -rf "$folder"' EXIT
say "Slipway may now reach this cluster with the token $USER_ID!main; add it with what was printed, then remove that file"
