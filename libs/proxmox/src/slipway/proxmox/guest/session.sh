# Run commands for one connection, one after the other, so that only the first of them costs a `pct exec`.
#
# The first line of standard input is MARK: as an argument, every process of the guest could read it, and a command
# that prints them would end there. A command comes as lines: `run` or `feed`, its words quoted for a shell, MARK;
# after `feed` its standard input in base64, and MARK. Answers begin with MARK: a line on standard output when a command
# begins; when it has ended, a line on each output, with the exit code on standard output. Before the next command
# comes one more line. While a command runs nothing else can come: if the input ends instead, nobody waits any
# more, and the command's process group is killed, as in `guard.sh`.
set -u
IFS= read -r mark || exit 125
base64=
command -v base64 >/dev/null && base64=' base64'
# Not in /tmp, which a boot empties.
folder=$(TMPDIR=/var/tmp mktemp -d 2>/dev/null || mktemp -d) && mkfifo -m 600 "$folder/stdin" || exit 125
exec 3<&0 </dev/null
printf '%s ready%s\n' "$mark" "$base64"

# A command may end without reading all that it was sent.
feed() {
    trap '' PIPE
    while IFS= read -r line && [ "$line" != "$mark" ]; do
        printf '%s\n' "$line" 2>/dev/null
    done <&3 | base64 -d >"$folder/stdin" 2>/dev/null
    trap - PIPE
}

while IFS= read -r kind <&3; do
    words=
    while IFS= read -r line <&3 && [ "$line" != "$mark" ]; do
        words="$words$line
"
    done
    eval "set -- $words"
    printf '%s begins\n' "$mark"
    if [ "$kind" = feed ]; then
        setsid "$@" <"$folder/stdin" 3<&- &
        child=$!
        feed
    else
        setsid "$@" 3<&- &
        child=$!
    fi
    setsid sh -c 'read -r more <&3 || [ -e "$2" ] && exit
        kill -TERM "-$1"; sleep 3; kill -KILL "-$1"' sh "$child" "$folder/ended" >/dev/null 2>&1 &
    lifeline=$!
    wait "$child"
    code=$?
    : >"$folder/ended"
    printf '\n%s\n' "$mark" >&2
    printf '\n%s %s\n' "$mark" "$code"
    wait "$lifeline"
    rm "$folder/ended"
done
rm -rf "$folder"
