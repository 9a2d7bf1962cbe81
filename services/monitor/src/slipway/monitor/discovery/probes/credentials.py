"""Credentials that template scripts saved: one file per service in /etc/slipway/credentials, KEY=value lines.

A value that is more than a line of printable ASCII stands there as `KEY:base64=...`, as `save_credential` of
the script library writes it. The values are secrets: they are sealed before they leave monitor, never logged.
"""

import base64
import contextlib
import unicodedata
from collections.abc import Mapping

from pydantic import SecretStr

FOLDER = "/etc/slipway/credentials"
MOST_CHARACTERS = 64 * 1024
"""Of a value: all of a guest's travel in one message. `save_credential` refuses a longer one."""
_UNUSABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})
"""Characters of a name that no line of text has: no database takes a NUL, and no terminal is to obey one."""
_FILE = "="
_LINE = ":"
_BASE64 = ":base64"


COMMAND = (
    f'for file in {FOLDER}/*; do [ -f "$file" ] || continue; case $file in *"\n"*) continue ;; esac; '
    f'printf "{_FILE}%s\\n" "${{file##*/}}"; sed "s/^/{_LINE}/" "$file"; printf "\\n"; done'
)
"""Print the name of every file and then its lines, so that no line passes for a name."""


def parse(output: str) -> Mapping[str, SecretStr]:
    """Return the values by `service/key`; lines without a key or with too long a value are skipped."""
    values: dict[str, SecretStr] = {}
    service = ""
    # Whatever follows the last line end was cut off.
    for line in output.split("\n")[:-1]:
        if line.startswith(_FILE):
            service = line.removeprefix(_FILE)
        elif line.startswith(_LINE) and "=" in line and not line.startswith(f"{_LINE}#"):
            key, value = _entry(line.removeprefix(_LINE).removesuffix("\r"))
            is_usable = key and len(value) <= MOST_CHARACTERS
            if is_usable and _UNUSABLE.isdisjoint(map(unicodedata.category, name := f"{service}/{key}")):
                values[name] = SecretStr(value)
    return values


def _entry(line: str) -> tuple[str, str]:
    """Return key and value of a line; what is not the base64 of text stays as it is stored."""
    key, _, value = line.partition("=")
    key = key.strip()
    if key.endswith(_BASE64):
        with contextlib.suppress(ValueError):
            return key.removesuffix(_BASE64), base64.b64decode(value, validate=True).decode()
    return key, value
