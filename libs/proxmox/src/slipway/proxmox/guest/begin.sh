# Begin detached work, unless it runs or has ended. Files come as a tar on standard input.
#
# usage: FOLDER SECONDS GRACE KEEP
folder=$1
shift
for tool in flock setsid mkfifo tar dd stat; do
    command -v "$tool" >/dev/null || { echo "the guest has no $tool" >&2; exit 1; }
done
mkdir -p "$folder" && cd "$folder" || exit 1
: >>lock
: >>out
exec 9<lock
until flock -n 9; do
    if held lock; then
        cat >/dev/null
        echo running
        exit 0
    fi
    nap 0.05
done
if [ -s exit ]; then
    cat >/dev/null
    echo "exited $(cat exit)"
    exit 0
fi
# A wrapper that was killed leaves its work behind; nothing runs twice.
while alive; do
    kill -KILL "-$group" 2>/dev/null
    nap 0.05
done
# What another job began and gave up is ended: a container has one job at a time, and this is the one. Nobody
# follows the output of what has ended either: a guest that is stored for years must not gather it.
for other in ../*/; do
    [ "$other" = "../${folder##*/}/" ] && continue
    (cd "$other" && [ -e lock ] && { held lock || alive; } && finish 2)
    held "${other}lock" || rm -f "${other}out"
done
rm -f complete pid timed-out over reader.end out.pipe
: >plain
tar -xf - && [ -e complete ] || { echo "the script did not arrive whole" >&2; exit 1; }
append_last
# A line that was torn by a crash ends here.
end_line
LC_ALL=C setsid sh ./wrapper "$@" </dev/null >wrapper.log 2>&1 &
echo started
