# Run a command so that it dies with the connection that asked for it.
#
# usage: MARKER SIZE COMMAND...
#
# The marker is printed first: it proves that the guest was reached, so that the exit code is the command's.
# SIZE bytes of standard input are the command's; whatever comes after is only a lifeline: when it ends, nobody
# waits any more, and the command's process group is killed. `kill -TERM -1234` is written without `--`, which
# dash does not take.
set -u
marker=$1 size=$2
shift 2
printf '%s\n' "$marker"
exec 3<&0 </dev/null
if [ "$size" -gt 0 ]; then
    pipe=$(mktemp -d) && mkfifo -m 600 "$pipe/stdin" || exit 125
    setsid "$@" <"$pipe/stdin" 3<&- &
    child=$!
    head -c "$size" <&3 >"$pipe/stdin"
    rm -rf "$pipe"
else
    setsid "$@" 3<&- &
    child=$!
fi
setsid sh -c 'cat <&3; kill -TERM "-$1"; sleep 3; kill -KILL "-$1"' sh "$child" >/dev/null 2>&1 &
lifeline=$!
exec 3<&-
wait "$child"
code=$?
kill -KILL "$lifeline" "-$lifeline" 2>/dev/null
exit "$code"
