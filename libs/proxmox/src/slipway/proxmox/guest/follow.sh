# Print the output of detached work from a byte on, as it grows, and at last how it ended.
#
# usage: FOLDER OFFSET
#
# Output comes as `data SIZE`, so many bytes, and a line feed: it may be cut anywhere, and hold anything. Between
# two of these a beat says that we are here. If an older build began the work, `marked` comes first. Descriptor 4
# keeps its place in the file from one part to the next. The end is looked for before the last part, and the
# wrapper writes the exit code after the last output: nothing is missed.
cd "$1" 2>/dev/null && [ -e lock ] && [ -e out ] || { echo absent; exit 0; }
[ -e plain ] || echo marked
offset=$2
exec 4<out
[ "$offset" -ge 65536 ] && dd bs=65536 count="$((offset / 65536))" <&4 >/dev/null 2>&1
[ "$((offset % 65536))" -gt 0 ] && dd bs="$((offset % 65536))" count=1 <&4 >/dev/null 2>&1
turns=0 ending=
until [ -n "$ending" ]; do
    if [ -s exit ]; then
        ending="exited $(cat exit)"
    elif [ "$((turns % 25))" -eq 0 ]; then
        echo beat
        # Held, or ended just now, or dead without an exit code.
        held lock || { [ -s exit ] && ending="exited $(cat exit)" || ending=lost; }
    fi
    size=$(size_of out) || exit 1
    while [ "$offset" -lt "$size" ]; do
        part=$((size - offset))
        [ "$part" -le 262144 ] || part=262144
        printf 'data %s\n' "$part"
        dd bs="$part" count=1 <&4 2>/dev/null || exit 1
        echo
        offset=$((offset + part))
    done
    turns=$((turns + 1))
    # Most scripts end within a second.
    [ -n "$ending" ] || if [ "$turns" -lt 20 ]; then nap 0.05; else nap 0.2; fi
done
printf '%s\n' "$ending"
