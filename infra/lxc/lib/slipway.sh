# Library for template scripts (POSIX sh). Each script begins with:  . "$SLIPWAY_LIB"
# Given: SLIPWAY_VAR_<NAME> for each variable, SLIPWAY_CONTAINER_ID.
set -eu
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8

log_info() { printf '%s\n' "$*"; }
log_warn() { printf 'warning: %s\n' "$*" >&2; }
log_error() { printf 'error: %s\n' "$*" >&2; }

# shellcheck source=/dev/null
[ ! -r /etc/os-release ] || . /etc/os-release
SLIPWAY_OS=${ID:-unknown}
SLIPWAY_OS_VERSION=${VERSION_ID:-unknown}
SLIPWAY_PKG=unknown
for pkg in apt-get apk dnf; do
    if command -v "$pkg" >/dev/null 2>&1; then SLIPWAY_PKG=$pkg; break; fi
done
export SLIPWAY_OS SLIPWAY_OS_VERSION SLIPWAY_PKG

# is_installed PACKAGE
is_installed() {
    case $SLIPWAY_PKG in
        apt-get) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'ok installed' ;;
        apk) apk info -e "$1" >/dev/null ;;
        dnf) rpm -q "$1" >/dev/null ;;
        *) return 1 ;;
    esac
}

PACKAGE_LOCKS='/var/lib/apt/lists/lock /var/cache/apt/archives/lock
/var/lib/dpkg/lock-frontend /var/lib/dpkg/lock
/lib/apk/db/lock /usr/lib/apk/db/lock
/var/lib/rpm/.rpm.lock /usr/lib/sysimage/rpm/.rpm.lock /run/dnf/rpmtransaction.lock'
PACKAGE_LOCK_SECONDS=300

# package_lock    print a package manager's lock that is held, and by which process
package_lock() {
    [ -r /proc/locks ] || return 1
    while read -r _ _ _ _ pid _; do
        for open in "/proc/$pid/fd/"*; do
            for lock in $PACKAGE_LOCKS; do
                [ "$open" -ef "$lock" ] || continue
                printf '%s, held by process %s (%s)\n' "$lock" "$pid" "$(cat "/proc/$pid/comm" 2>/dev/null)"
                return 0
            done
        done
    done </proc/locks
    return 1
}

# when_unlocked COMMAND...    once no other package manager is at work; again if one came in between
when_unlocked() (
    left=$PACKAGE_LOCK_SECONDS said=
    while :; do
        while held=$(package_lock); do
            if [ "$left" -le 0 ]; then
                waited="still after $PACKAGE_LOCK_SECONDS s"
                printf 'error: %s, %s: "%s" was not run\n' "$held" "$waited" "$*" >&2
                return 75
            fi
            [ "$said" ] || printf 'Waiting for %s\n' "$held"
            said=yes
            sleep 1
            left=$((left - 1))
        done
        code=0
        "$@" || code=$?
        [ "$code" -ne 0 ] || return 0
        if [ "$left" -le 0 ] || ! package_lock >/dev/null; then break; fi
        left=$((left - 1))
    done
    printf 'error: "%s" ended with code %s\n' "$*" "$code" >&2
    return "$code"
)

# ensure_installed PACKAGE...    one run for all that are missing
ensure_installed() {
    missing=
    for package in "$@"; do is_installed "$package" || missing="$missing $package"; done
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086
    case $SLIPWAY_PKG in
        apt-get) when_unlocked apt-get -q -o DPkg::Lock::Timeout=300 update && when_unlocked apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold install --no-install-recommends $missing ;;
        apk) when_unlocked apk --wait 300 add --no-cache $missing ;;
        dnf) when_unlocked dnf install -y $missing ;;
        *) log_error "no known package manager for:$missing"; return 1 ;;
    esac
}

# generate_password [LENGTH]    letters and digits, each equally likely
generate_password() {
    LC_ALL=C tr -dc 'A-Za-z0-9' </dev/urandom | head -c "${1:-24}"
}

# save_credential SERVICE KEY VALUE    found by Slipway, sealed, shown on request
# A value of anything but printable ASCII is stored as KEY:base64=...
save_credential() (
    umask 077
    LC_ALL=C
    case $1 in
        '' | .* | */* | *[[:cntrl:]]*)
            log_error "save_credential: the name of a service has no slash or line end, and begins with no dot"
            exit 1
            ;;
    esac
    case $2 in
        '' | '#'* | ' '* | *' ' | *=* | *:base64 | *[[:cntrl:]]*)
            log_error "save_credential $1: a key has no '=', tab or line end, no space at its ends, begins with no '#' and does not end with ':base64'"
            exit 1
            ;;
    esac
    if [ "${#3}" -gt 65536 ]; then
        log_error "save_credential $1: a value has at most 65536 bytes"
        exit 1
    fi
    entry=$2=$3
    case $3 in
        *[!' '-~]*)
            encoded=$(printf '%s' "$3" | base64 | tr -d '\n')
            [ -n "$encoded" ] || { log_error "save_credential $1: such a value needs the program base64"; exit 1; }
            entry=$2:base64=$encoded
            ;;
    esac
    mkdir -p /etc/slipway/credentials || exit 1
    file=/etc/slipway/credentials/$1 new=/etc/slipway/credentials/.$1.new
    {
        [ ! -f "$file" ] || while IFS= read -r line || [ -n "$line" ]; do
            case $line in
                "$2="* | "$2:base64="*) ;;
                *) printf '%s\n' "$line" || exit 1 ;;
            esac
        done <"$file"
        printf '%s\n' "$entry" || exit 1
    } >"$new"
    total=$(for each in "$new" /etc/slipway/credentials/*; do [ "$each" = "$file" ] || cat "$each"; done | wc -c)
    if [ "$total" -gt 400000 ]; then
        rm -f "$new"
        log_error "save_credential $1: all credentials of a container have at most 400000 bytes, values in base64 as stored"
        exit 1
    fi
    mv "$new" "$file"
)

# is_listening PORT    what /proc says needs no program in the guest
is_listening() {
    for table in /proc/net/tcp /proc/net/tcp6; do
        [ -r "$table" ] || continue
        # The local address, the remote one, and the state: 0A is "listens".
        if grep -q "^ *[0-9]*: [0-9A-F]*:$(printf '%04X' "$1") [0-9A-F]*:[0-9A-F]* 0A " "$table"; then return 0; fi
    done
    return 1
}

# wait_for_port PORT [SECONDS]
wait_for_port() {
    tries=${2:-30}
    while [ "$tries" -gt 0 ]; do
        if is_listening "$1"; then return 0; fi
        tries=$((tries - 1))
        sleep 1
    done
    log_error "nothing listens on port $1"
    return 1
}

# as_user USER COMMAND...
as_user() {
    user=$1
    shift
    if command -v runuser >/dev/null 2>&1; then
        runuser -u "$user" -- "$@"
    else
        # shellcheck disable=SC2016
        su -s /bin/sh -c 'exec "$@"' -- "$user" sh "$@"
    fi
}
