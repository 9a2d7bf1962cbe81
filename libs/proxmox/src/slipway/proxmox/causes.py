"""Find the lines of a failed task's log that show the cause. Pure.

A task's exit status is its last line, and often says only that something failed: `job errors`, `startup for
container '100' failed`, a tar command of three hundred characters. The cause stands above it.
"""

import re
from collections.abc import Iterable

MOST = 2
LONGEST = 300
"""Characters of a line that are shown."""
_CAUSES = re.compile(
    r"No space left on device|[Nn]ot enough (?:free )?space|[Ii]nsufficient free space"
    r"|[Oo]ut of (?:disk )?space|[Dd]isk quota exceeded|[Ww]rite error"
    r"|[Cc]annot write|[Ii]nput/output error|[Rr]ead-only file system"
    r"|[Uu]nexpected (?:EOF|end of)|[Pp]remature end|[Cc]orrupt|[Cc]hecksum|not look like a tar archive"
    r"|[Cc]an't read superblock|wrong fs type|[Dd]ata error|magic number|file format not recognized"
    r"|[Tt]emporary failure|[Nn]o route to host|[Cc]onnection (?:refused|reset|timed out)"
    r"|does not exist|[Nn]o such file|[Pp]ermission denied|[Aa]lready (?:exists|in use)|can't migrate"
)
_MARKED = re.compile(r"(?:^|\s)(?:ERROR|error|fatal|FATAL): ")
_END = re.compile(r"^TASK (?:ERROR|OK|WARNINGS)")
_HARMLESS = re.compile(r"^(?:INFO|WARN): (?!.*(?:No space|[Ww]rite error))")


def causes(lines: Iterable[str]) -> tuple[str, ...]:
    """Return the lines that name a cause, the clearest first; empty if none does."""
    candidates = [line.strip() for line in lines if not _END.match(line) and not _HARMLESS.match(line)]
    clear = [line for line in candidates if _CAUSES.search(line)]
    marked = [line for line in candidates if _MARKED.search(line)]
    return tuple(line[:LONGEST] for line in dict.fromkeys((*clear, *marked)))[:MOST]


def with_causes(message: str, lines: Iterable[str]) -> str:
    """Return the message of a task's end with the causes before it; it never repeats one."""
    lines_before = [line for line in causes(lines) if line not in message]
    return f"{'; '.join(lines_before)}. Proxmox: {message}" if lines_before else message
