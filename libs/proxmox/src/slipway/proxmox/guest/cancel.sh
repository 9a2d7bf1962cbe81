# End detached work: its process group is asked to end, then killed. Says how it ended.
#
# usage: FOLDER GRACE
cd "$1" 2>/dev/null && [ -e lock ] || { echo absent; exit 0; }
grace=$2
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
tell
