# Run detached work: its output goes to one file, its exit code to another. Inherits the lock on descriptor 9.
#
# usage: SECONDS GRACE KEEP
#
# Two readers mark each line and append it with a single write, which a file opened for appending takes whole:
# short lines from the shell itself, long ones through dd, since shells write in pieces of a few KiB. A daemon
# that the work leaves behind may hold the pipes open; then the readers stay to drain it, but write no more.
#
# Of each stream KEEP bytes are stored, a line counted with what it costs where it is stored: three quarters from
# the beginning, one from the end. What is beyond the beginning goes to two files that take turns, so that the
# last lines are always there; at the end they follow in `out`, after a line that says how much is missing. `out`
# itself only grows. Meanwhile it says now and then that more is left out.
seconds=$1 grace=$2 keep=$3
trap '' HUP INT
here=$PWD

put() {
    if [ "${#line}" -lt 900 ]; then
        printf '%s\n' "$mark$line"
    else
        printf '%s\n' "$mark$line" >"$mark.long"
        dd if="$mark.long" bs="$((${#line} + 16))" 2>/dev/null
    fi
}

reader() {
    mark=$1 used=$(wc -c <out) head=$((keep / 4 * 3)) half=$((keep / 8)) turn=0 size=0 left=0 next=1048576
    while IFS= read -r line || [ -n "$line" ]; do
        [ -e over ] && continue
        cost=$((${#line} + 48))
        if [ "$used" -lt "$head" ]; then
            used=$((used + cost))
            put >>out
            continue
        fi
        if [ "$size" -gt "$half" ]; then
            turn=$((1 - turn)) size=0
            [ -e "$mark.$turn" ] && left=$((left + $(wc -c <"$mark.$turn")))
            exec 6>"$mark.$turn"
            printf '%s %s\n' "$turn" "$left" >"$mark.left"
            if [ "$left" -ge "$next" ]; then
                printf '%s\n' "$mark[slipway: this is a lot of output: $((left >> 20)) MiB of it are left out so far]" >>out
                [ "$next" -ge 67108864 ] && next=$((left + 67108864)) || next=$((left * 2))
            fi
        fi
        [ -e "$mark.$turn" ] || exec 6>"$mark.$turn"
        size=$((size + cost))
        put >&6
    done
    : >"$mark.end"
}

begin() {
    . ./env
    rm -f env
    cd / || exit 126
    umask 022
    unset LC_ALL
    exec setsid "$here/script"
}

mkfifo o.pipe e.pipe
reader o <o.pipe 9<&- &
reader e <e.pipe 9<&- &
begin >o.pipe 2>e.pipe </dev/null 9<&- &
work=$!
printf '%s %s\n' "$work" "$(started "$work")" >pid.new && mv pid.new pid

setsid sh -c 'sleep "$1"; : >timed-out; kill -TERM "-$3"; sleep "$2"; kill -KILL "-$3"' \
    sh "$seconds" "$grace" "$work" </dev/null >/dev/null 2>&1 9<&- &
watchdog=$!
wait "$work"
code=$?
kill -KILL "$watchdog" "-$watchdog" 2>/dev/null
if [ -e timed-out ]; then
    code=124
    kill -KILL "-$work" 2>/dev/null
fi

tries=0
until [ -e o.end ] && [ -e e.end ] || [ "$tries" -ge 200 ]; do
    tries=$((tries + 1))
    nap 0.02
done
: >over
append_last
rm -f script env complete pid over ./*.pipe ./*.long
printf '%s\n' "$code" >exit.new && mv exit.new exit
