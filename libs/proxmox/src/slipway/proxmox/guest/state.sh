# What the scripts of detached work share. State is a folder of its own for each key, root's only:
#   lock       held by the wrapper while the work runs; the kernel lets go of it when the wrapper dies
#   out        the output, a mark before each line: o for standard output, e for standard error
#   exit       the exit code; written last, at once
#   pid        process group and start time of the work
#   o.0 o.1    of output that is too much, the last lines; o.left tells which is newer, and how much is missing
set -u
umask 077

nap() { sleep "$1" 2>/dev/null || sleep 1; }

# The start time of a process, in clock ticks since boot; nothing if there is none.
started() {
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    set -f
    set -- ${stat##*) }
    set +f
    case $1 in Z | X) return 1 ;; esac
    printf '%s\n' "${20}"
}

# Whether the work's first process lives, and is not another one with its number.
alive() {
    [ -s pid ] && read -r group born <pid && now=$(started "$group") && [ "$now" = "$born" ]
}

# Whether a wrapper holds the lock. A shared lock, so that two who look do not see each other.
held() { ! flock -s -n "$1" true; }

# End the work: its process group is asked to end, killed after so many seconds, and waited for.
finish() {
    grace=$1
    tries=0
    # Begun, but not yet written down.
    until [ -s pid ] || ! held lock || [ "$tries" -ge 100 ]; do
        tries=$((tries + 1))
        nap 0.05
    done
    if alive; then
        kill -TERM "-$group" 2>/dev/null
        tries=0
        while alive && [ "$tries" -lt "$((grace * 10))" ]; do
            tries=$((tries + 1))
            nap 0.1
        done
        kill -KILL "-$group" 2>/dev/null
    fi
    tries=0
    while held lock && [ "$tries" -lt 100 ]; do
        tries=$((tries + 1))
        nap 0.1
    done
}

# Let the last lines of what was too much follow in the output, after what is missing between.
append_last() {
    for mark in o e; do
        [ -e "$mark.0" ] || continue
        turn=0 left=0
        [ -s "$mark.left" ] && read -r turn left <"$mark.left"
        [ "$left" -eq 0 ] || printf '%s\n' "$mark[slipway: $left bytes of the output are left out here; its last lines follow]" >>out
        for part in "$mark.$((1 - turn))" "$mark.$turn"; do
            [ ! -e "$part" ] || cat "$part" >>out
        done
        rm -f "$mark.0" "$mark.1" "$mark.left"
    done
}

tell() {
    if held lock; then
        echo running
    elif [ -s exit ]; then
        echo "exited $(cat exit)"
    else
        echo absent
    fi
}
