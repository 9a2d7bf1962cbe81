# Run detached work: its output goes to one file, its exit code to another. Inherits the lock on descriptor 9.
#
# usage: SECONDS GRACE KEEP
#
# Standard output and standard error are one pipe: the only way to have both in the order of writing. A reader
# takes what is there, waits a moment for more, and appends it as it is: also half a line. A daemon that the work
# leaves behind may hold the pipe open; then the reader drains it, but writes no more.
#
# Of the output KEEP bytes are stored, a line counted with what it costs where it is stored: three quarters from
# the beginning, one from the end. What is beyond the beginning goes to `last`, which is cut from its front; at
# the end it follows in `out`, after a line that says how much is missing. `out` itself only grows. Meanwhile it
# says now and then that more is left out.
seconds=$1 grace=$2 keep=$3
trap '' HUP INT
here=$PWD

reader() {
    used=$(size_of out) head=$((keep / 4 * 3)) tail=$((keep / 4)) past=0 waiting=0 left=0 next=1048576
    while :; do
        # Smaller and smaller parts: a part of many lines counts for much more than its bytes.
        part=$(((head - used) / 16))
        [ "$past" -eq 0 ] && [ "$part" -lt 65536 ] || part=65536
        [ "$part" -ge 512 ] || part=512
        dd bs="$part" count=1 >part 2>/dev/null || { nap 0.2; continue; }
        [ -s part ] || break
        [ ! -e over ] || exec cat >/dev/null
        measure part
        got=$size
        if [ "$past" -eq 0 ]; then
            take_first
        else
            cat part >>last
            waiting=$((waiting + cost))
            [ "$waiting" -le "$((tail * 2))" ] || trim
        fi
        [ "$got" -ge "$part" ] || nap 0.05
    done
    : >reader.end
}

# Store a part of the beginning; what is too much begins after a line.
take_first() {
    used=$((used + cost))
    if [ "$used" -lt "$head" ] || { [ "$lines" -eq 0 ] && [ "$used" -lt "$keep" ]; }; then
        cat part >>out
        return
    fi
    past=1
    if [ "$lines" -eq 0 ]; then
        cat part >>out
        return
    fi
    head -n "$lines" part >>out
    tail -n "+$((lines + 1))" part >last
}

# Cut `last` to its last lines, and count what goes.
trim() {
    before=$(size_of last)
    trim_last "$tail"
    measure last
    waiting=$cost left=$((left + before - size))
    printf '%s\n' "$left" >left
    if [ "$left" -ge "$next" ]; then
        end_line
        printf '%s\n' "[slipway: this is a lot of output: $((left >> 20)) MiB of it are left out so far]" >>out
        [ "$next" -ge 67108864 ] && next=$((left + 67108864)) || next=$((left * 2))
    fi
}

# The script's interpreter, by its first line, if the guest has none: the kernel would call the script missing.
# What `env` starts is looked for as well, unless it has options other than -S.
missing_interpreter() {
    read -r line <"$here/script"
    set -f
    # shellcheck disable=SC2086
    set -- ${line#??}
    set +f
    [ -x "${1-}" ] || { printf '%s\n' "${1-}"; return; }
    [ "${1##*/}" = env ] && [ "$#" -gt 1 ] || return
    [ "$2" != -S ] || shift
    case ${2-} in '' | -* | *=*) ;; *) command -v "$2" >/dev/null || printf '%s\n' "$2" ;; esac
}

begin() {
    . ./env
    rm -f env
    cd / || exit 126
    umask 022
    unset LC_ALL
    missing=$(missing_interpreter)
    if [ -n "$missing" ]; then
        printf '%s%s\n' "[slipway: the guest has no $missing, which is to run the script by its first line: " \
            "install it with the template's packages, or write the script for #!/bin/sh]"
        exit 127
    fi
    exec setsid "$here/script"
}

printf '%s\n' "$((keep / 4))" >tail
mkfifo out.pipe
reader <out.pipe 9<&- &
begin >out.pipe 2>&1 </dev/null 9<&- &
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
until [ -e reader.end ] || [ "$tries" -ge 200 ]; do
    tries=$((tries + 1))
    nap 0.02
done
: >over
append_last
rm -f script env complete pid over tail part out.pipe
printf '%s\n' "$code" >exit.new && mv exit.new exit
