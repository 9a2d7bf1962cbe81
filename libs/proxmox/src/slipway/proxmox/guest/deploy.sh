# Put files in their places. They come as a tar on standard input: 0, 1, 2, ... and `plan`, which calls `step`
# once for each.
#
# Everything is checked before anything is placed; a file is made beside its place and moved there at once. A
# second run finds what the first one placed and changes nothing.
set -u
umask 077

refuse() {
    printf 'refused %s %s\n' "$index" "$1"
    exit 1
}

sum_of() {
    sums=$(sha256sum <"$1") && printf '%s' "${sums%% *}"
}

step() {
    index=$1 policy=$2 mode=$3 owner=$4 group=$5 sum=$6 path=$7
    folder=${path%/*}
    folder=${folder:-/}
    "$act"
}

check() {
    [ "$(sum_of "$stage/$index")" = "$sum" ] || refuse "it did not arrive whole"
    [ ! -d "$path" ] || refuse "there is a folder of that name"
}

place() {
    (umask 022 && mkdir -p "$folder") || refuse "its folder can't be made"
    outcome=created backup=
    if [ -e "$path" ] || [ -L "$path" ]; then
        [ "$policy" != default ] || { printf 'placed %s stored\n' "$index"; return; }
        outcome=replaced
        [ "$(sum_of "$path" 2>/dev/null)" = "$sum" ] && outcome=unchanged
    fi
    if [ "$outcome" = unchanged ]; then
        own "$path"
    else
        [ "$outcome$policy" != replacedbackup ] || keep_old
        cp "$stage/$index" "$folder/.slipway-$$" && own "$folder/.slipway-$$" || refuse "it can't be written"
        mv -f "$folder/.slipway-$$" "$path" || refuse "it can't be moved to its place"
        [ "$(sum_of "$path")" = "$sum" ] || refuse "it is not what was sent"
    fi
    printf 'placed %s %s %s\n' "$index" "$outcome" "$backup"
}

own() {
    chown "${owner:-$(stat -c %u "$folder")}:${group:-$(stat -c %g "$folder")}" "$1" || refuse "its owner can't be set"
    chmod "$mode" "$1" || refuse "its mode can't be set"
}

# A second name for the old file, so that there is always one at its place; where links are not possible, a move.
keep_old() {
    backup=backup-$(date +%Y%m%d-%H%M%S)
    stamp=$backup count=1
    while [ -e "$path.$backup" ]; do
        backup=$stamp-$count count=$((count + 1))
    done
    ln "$path" "$path.$backup" 2>/dev/null || mv "$path" "$path.$backup" || refuse "the old one can't be stored"
}

index=-
stage=$(mktemp -d) || refuse "there is no room to unpack"
trap 'rm -rf "$stage"' EXIT
trap 'exit 143' TERM
tar -xf - -C "$stage" && [ -e "$stage/plan" ] || refuse "the archive did not arrive whole"
for act in check place; do
    . "$stage/plan"
done
