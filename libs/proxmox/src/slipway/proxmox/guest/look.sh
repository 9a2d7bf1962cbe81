# Say where detached work stands: absent, running, or exited with a code.
#
# usage: FOLDER
cd "$1" 2>/dev/null && [ -e lock ] || { echo absent; exit 0; }
tell
