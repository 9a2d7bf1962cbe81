"""A log's last line while it has no end: when it is due to be published. Pure: reads no clock."""

from slipway.provisioner.engine.log_bound import UNFINISHED_SECONDS, unfinished_pause_seconds
from slipway.runtime.secrets.redaction import clean_unfinished

LONGEST_UNFINISHED = 1000
"""Characters that are shown of it; of a longer one, the end: that is what changes."""


class UnfinishedLine:
    """The newest state of the line, and whether it was taken."""

    def __init__(self) -> None:
        self._text: str | None = None
        self._taken: str | None = None
        self._began_at = 0.0
        self._due_at = 0.0

    def update(self, text: str, *, at_seconds: float) -> None:
        """Note what the line is now; it is first due after a while: most lines have an end by then."""
        if self._text is None:
            self._began_at, self._due_at = at_seconds, at_seconds + UNFINISHED_SECONDS
        self._text = text

    @property
    def is_open(self) -> bool:
        """Whether there is a line without an end."""
        return self._text is not None

    def end(self) -> None:
        """Forget the line: it has an end."""
        self._text = self._taken = None

    def take(self, at_seconds: float) -> str | None:
        """Return the line, masked, if it is due and another than before."""
        if self._text is None or at_seconds < self._due_at:
            return None
        text = clean_unfinished(self._text)
        if len(text) > LONGEST_UNFINISHED:
            text = "…" + text[1 - LONGEST_UNFINISHED :]
        if text == self._taken or not text.strip():
            return None
        self._taken, self._due_at = text, at_seconds + unfinished_pause_seconds(at_seconds - self._began_at)
        return text
