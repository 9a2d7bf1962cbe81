#!/bin/sh
# Installs Slipway from this folder, without a network: ./install.sh [FOLDER]
#
# FOLDER is where the program goes: /opt/slipway for root, ~/.local/share/slipway-program otherwise. Every file is
# compared with SHA256SUMS first; that list itself is only as good as where you have it from: compare it with a
# copy that came another way.
set -eu
umask 022
export LC_ALL=C

# fail WORDS
fail() {
    printf 'install: %s\n' "$*" >&2
    exit 1
}

cd "$(dirname "$0")"
if [ "$(id -u)" = 0 ]; then
    folder=${1:-/opt/slipway} bin=/usr/local/bin
else
    folder=${1:-$HOME/.local/share/slipway-program} bin=$HOME/.local/bin
fi
case "$folder" in
/*) ;;
*) fail "give the folder's whole path, not '$folder'" ;;
esac
version=$(cat python)
python=$(command -v "python$version") || fail "this bundle is for Python $version, which is not on this machine"

sha256sum --quiet --check SHA256SUMS || fail "the bundle is damaged or was changed: nothing was installed"
# What the list does not name would be installed unseen.
[ "$(find wheels -type f | wc -l)" = "$(grep -c '  wheels/' SHA256SUMS)" ] ||
    fail "there are files in wheels/ that SHA256SUMS does not name: nothing was installed"
# Without pip, which Debian has in a package of its own: the bundle brings it, and it runs out of its wheel.
"$python" -m venv --clear --without-pip "$folder" || fail "$python can't make a virtual environment in $folder"
pip=$(echo wheels/pip-*.whl)
"$folder/bin/python" "$pip/pip" install --quiet --disable-pip-version-check --no-index --find-links wheels \
    --require-hashes -r requirements.txt
"$folder/bin/python" -m compileall -q "$folder/lib" >/dev/null 2>&1 || :
mkdir -p "$bin"
ln -sf "$folder/bin/slipway" "$bin/slipway"
printf '%s is in %s. Begin with `slipway up`, or as a service with `slipway service install`.\n' \
    "$("$folder/bin/slipway" --version)" "$bin/slipway"
