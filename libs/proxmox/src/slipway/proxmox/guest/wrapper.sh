# Run detached work: its output goes to one file, its exit code to another. Inherits the lock on descriptor 9.
#
# usage: SECONDS GRACE DIRECTORY
#
# Two readers mark each line and append it with a single write, which a file opened for appending takes whole:
# short lines from the shell itself, long ones through dd, since shells write in pieces of a few KiB. A daemon
# that the work leaves behind may hold the pipes open; then the readers stay to drain it, but write no more.
seconds=$1 grace=$2 directory=$3
trap '' HUP INT
here=$PWD

reader() {
    while IFS= read -r line || [ -n "$line" ]; do
        [ -e exit ] && continue
        if [ "${#line}" -lt 900 ]; then
            printf '%s\n' "$1$line"
        else
            printf '%s\n' "$1$line" >"$1.long"
            dd if="$1.long" bs="$((${#line} + 16))" 2>/dev/null
        fi
    done >>out
    : >"$1.end"
}

begin() {
    . ./env
    rm -f env
    cd "$directory" || exit 126
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
rm -f script env complete pid ./*.pipe ./*.long
printf '%s\n' "$code" >exit.new && mv exit.new exit
