# Print the output of detached work from a byte on, as it grows, and at last how it ended.
#
# usage: FOLDER OFFSET
#
# Each line of output begins with its mark; the end follows after an empty line, two of them in case that a
# crash tore the last line. Descriptor 4 keeps its place in the file from one cat to the next. The end is looked for before the last cat,
# and the wrapper writes the exit code after the last line: nothing is missed. A beat on standard error says
# that we are here; it can't go to standard output, where it could fall into the middle of a line.
cd "$1" 2>/dev/null && [ -e lock ] && [ -e out ] || { printf '\nabsent\n'; exit 0; }
offset=$2
exec 4<out
[ "$offset" -ge 65536 ] && dd bs=65536 count="$((offset / 65536))" <&4 >/dev/null 2>&1
[ "$((offset % 65536))" -gt 0 ] && dd bs="$((offset % 65536))" count=1 <&4 >/dev/null 2>&1
turns=0 ending=
until [ -n "$ending" ]; do
    if [ -s exit ]; then
        ending="exited $(cat exit)"
    elif [ "$((turns % 25))" -eq 0 ]; then
        echo beat >&2
        # Held, or ended just now, or dead without an exit code.
        held lock || { [ -s exit ] && ending="exited $(cat exit)" || ending=lost; }
    fi
    cat <&4
    turns=$((turns + 1))
    [ -n "$ending" ] || nap 0.2
done
printf '\n\n%s\n' "$ending"
