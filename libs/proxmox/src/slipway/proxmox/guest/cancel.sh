# End detached work: its process group is asked to end, then killed. Says how it ended.
#
# usage: FOLDER GRACE
cd "$1" 2>/dev/null && [ -e lock ] || { echo absent; exit 0; }
finish "$2"
tell
