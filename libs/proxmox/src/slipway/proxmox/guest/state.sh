# What the scripts of detached work share. State is a folder of its own for each key, root's only:
#   lock       held by the wrapper while the work runs; the kernel lets go of it when the wrapper dies
#   out        the output, as it was written
#   plain      that it is so: an older build put a mark before each line, o or e
#   exit       the exit code; written last, at once
#   pid        process group and start time of the work
#   last       of output that is too much, the last lines; `left` holds how many bytes are missing before them,
#              `tail` how much of them is stored
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

size_of() { stat -c %s "$1"; }

# The size of a file, its lines, and what it costs where it is stored.
measure() {
    set -- $(wc -lc <"$1")
    lines=$1 size=$2
    cost=$((size + lines * 48))
}

# End a line of the output that is not at its end.
end_line() { [ ! -s out ] || [ "$(tail -c 1 out | wc -l)" -eq 1 ] || echo >>out; }

# Cut `last` to its last lines that cost no more than this; a line that is too long, within.
trim_last() {
    measure last
    [ "$cost" -gt "$1" ] || return 0
    many=$((lines * $1 / cost))
    if [ "$many" -gt 0 ]; then
        tail -n "$many" last >last.new
    fi
    if [ "$many" -eq 0 ] || [ "$(size_of last.new)" -gt "$1" ]; then
        tail -c "$1" last >last.new
    fi
    mv last.new last
}

# Let the last lines of what was too much follow in the output, after what is missing between.
append_last() {
    [ -e last ] || return 0
    before=$(size_of last) left=0
    [ ! -s left ] || read -r left <left
    [ ! -s tail ] || { read -r most <tail && trim_last "$most"; }
    left=$((left + before - $(size_of last)))
    if [ "$left" -gt 0 ]; then
        end_line
        printf '%s\n' "[slipway: $left bytes of the output are left out here; its last lines follow]" >>out
    fi
    cat last >>out
    rm -f last left
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
