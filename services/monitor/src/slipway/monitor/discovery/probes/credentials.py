"""Credentials that template scripts saved: one file per service in /etc/slipway/credentials, KEY=value lines.

The values are secrets: they are sealed before they leave monitor, and never logged.
"""

from collections.abc import Mapping

from pydantic import SecretStr

FOLDER = "/etc/slipway/credentials"
_MARK = "=== "


COMMAND = (
    f'for file in {FOLDER}/*; do [ -f "$file" ] || continue; '
    f'printf "{_MARK}%s\\n" "${{file##*/}}"; cat "$file"; printf "\\n"; done'
)
"""Print every file after a line with its name."""


def parse(output: str) -> Mapping[str, SecretStr]:
    """Return the values by `service/key`; comments and lines without `=` are skipped."""
    values: dict[str, SecretStr] = {}
    service = ""
    for line in output.splitlines():
        if line.startswith(_MARK):
            service = line.removeprefix(_MARK)
        elif "=" in line and not line.startswith("#") and service:
            key, _, value = line.partition("=")
            values[f"{service}/{key.strip()}"] = SecretStr(value)
    return values
