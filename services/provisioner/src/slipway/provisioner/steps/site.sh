# Proxy, package mirrors and certificates of the site, in a guest: `sh site.sh apply APT_MIRROR APK_MIRROR` or
# `sh site.sh remove`. Runs on Debian, Ubuntu and Alpine; what it wants beyond sh is in their base.
#
# Beside it lie what it places: apt.conf, profile.sh, ca/1.crt and so on, each only if there is any. Of every file
# that it rewrites the original is stored in `saved` with what it wrote; a removal brings the original back unless
# someone has changed the file since, and says so. A second `apply` begins with a removal.
set -u
umask 022
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
home=/var/lib/slipway/site
saved=$home/saved
apt_conf=/etc/apt/apt.conf.d/99slipway-site
profile=/etc/profile.d/slipway-site.sh
trusted=/usr/local/share/ca-certificates
bundle=/etc/ssl/certs/ca-certificates.crt
begin='# slipway-site: begin'
end='# slipway-site: end'

fail() {
    printf 'failed %s\n' "$1"
    exit 1
}

# place FILE TARGET    at once, under its final name
place() {
    [ -e "$home/$1" ] || return 0
    mkdir -p "${2%/*}" && cp "$home/$1" "$2.slipway" && chmod 644 "$2.slipway" && mv -f "$2.slipway" "$2" || fail "$2 can't be written"
}

# rewrite FILE EXPRESSION    by sed; the original is stored
rewrite() {
    sed -E "$2" "$1" >"$home/rewritten" || fail "$1 can't be read"
    if cmp -s "$1" "$home/rewritten"; then return 0; fi
    number=$((number + 1))
    mkdir -p "$saved" && cp -p "$1" "$saved/$number.original" && cp "$home/rewritten" "$saved/$number.ours" &&
        printf '%s' "$1" >"$saved/$number.path" || fail "the original of $1 can't be stored"
    cp -p "$1" "$1.slipway" && cat "$home/rewritten" >"$1.slipway" && mv -f "$1.slipway" "$1" || fail "$1 can't be written"
}

# refuse_odd URL    sed and apt read it: nothing in it may mean anything to them
refuse_odd() {
    case $1 in *[!]A-Za-z0-9._~:/[-]*) fail "$1 is not a plain URL" ;; esac
}

use_apt_mirror() {
    refuse_odd "$1"
    archive='(debian|debian-security|ubuntu|ubuntu-ports)'
    expression="s#https?://security\.debian\.org/?([[:space:]]|\$)#$1/debian-security\1#g
s#https?://([A-Za-z0-9-]+\.)+(debian\.org|ubuntu\.com)/$archive/?([[:space:]]|\$)#$1/\3\4#g"
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ ! -f "$file" ] || rewrite "$file" "$expression"
    done
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -n -E '/^[[:space:]]*(deb[[:space:]]|URIs:)/s#.*[[:space:]]([a-z+]+://[^[:space:]]+).*#\1#p' |
        sort -u | while read -r uri; do case $uri in "$1"/*) ;; *) printf 'other %s\n' "$uri" ;; esac; done
    [ -e "$home/ca.pem" ] || return 0
    # Without ca-certificates apt trusts nobody; for this one host it shall trust the site's.
    host=${1#*://}
    host=${host%%[:/]*}
    mkdir -p "${apt_conf%/*}"
    if [ ! -s "$bundle" ]; then printf 'Acquire::https::%s::CaInfo "%s";\n' "$host" "$home/ca.pem" >>"$apt_conf"; fi
}

use_apk_mirror() {
    refuse_odd "$1"
    repository='(v[0-9.]+|edge|latest-stable)/(main|community|testing)'
    rewrite /etc/apk/repositories "s#https?://[^[:space:]]+/$repository/?([[:space:]]|\$)#$1/\1/\2\3#"
    sed -n -E '/^[[:space:]]*#/d; s#^(.*[[:space:]])?([a-z]+://[^[:space:]]+).*#\2#p' /etc/apk/repositories |
        sort -u | while read -r uri; do case $uri in "$1"/*) ;; *) printf 'other %s\n' "$uri" ;; esac; done
}

# Without the program update-ca-certificates the bundle itself is all that there is (Alpine's ca-certificates-bundle).
update_trust() {
    if command -v update-ca-certificates >/dev/null 2>&1; then
        output=$(update-ca-certificates 2>&1) || fail "update-ca-certificates: $(printf '%s' "$output" | tail -n 1)"
    elif [ "$1" = apply ] && [ -s "$bundle" ]; then
        { printf '%s\n' "$begin"; cat "$home/ca.pem"; printf '%s\n' "$end"; } >>"$bundle" || fail "$bundle can't be written"
    fi
}

trust() {
    [ -e "$home/ca.pem" ] || return 0
    for file in "$home"/ca/*.crt; do
        place "ca/${file##*/}" "$trusted/slipway-site-${file##*/}"
    done
    update_trust apply
}

distrust() {
    if [ -s "$bundle" ] && grep -qxF "$begin" "$bundle"; then
        sed "/^$begin\$/,/^$end\$/d" "$bundle" >"$home/rewritten" && cat "$home/rewritten" >"$bundle" || fail "$bundle can't be written"
    fi
    set -- "$trusted"/slipway-site-*.crt
    [ -e "$1" ] || return 0
    rm -f "$@"
    update_trust remove
}

remove() {
    for record in "$saved"/*.path; do
        [ -e "$record" ] || continue
        path=$(cat "$record") base=${record%.path}
        if cmp -s "$path" "$base.ours"; then
            cp -p "$base.original" "$path.slipway" && mv -f "$path.slipway" "$path" || fail "$path can't be written"
        else
            printf 'changed %s\n' "$path"
        fi
    done
    rm -rf "$saved"
    rm -f "$apt_conf" "$profile" "$home/rewritten"
    distrust
}

case $1 in
    remove)
        remove
        rm -rf "$home"
        ;;
    apply)
        remove
        number=0
        trust
        place profile.sh "$profile"
        if command -v apt-get >/dev/null 2>&1; then
            place apt.conf "$apt_conf"
            [ -z "$2" ] || use_apt_mirror "$2"
        fi
        if [ -e /etc/apk/repositories ]; then [ -z "$3" ] || use_apk_mirror "$3"; fi
        rm -f "$home/rewritten"
        ;;
esac
printf 'done\n'
