# Remove the state of detached work that does not run.
#
# usage: FOLDER
cd "$1" 2>/dev/null && [ -e lock ] || { echo absent; exit 0; }
held lock && { echo running; exit 0; }
cd / && rm -rf "$1"
echo absent
