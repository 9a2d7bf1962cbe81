"""Log a failure that lasts once, and its end once: people read the log."""

from slipway.contracts.problems import SlipwayError
from slipway.runtime.process.logs import get_logger

log = get_logger()


class OutageLog:
    """The last failure of one piece of work that the log has."""

    def __init__(self, work: str, **names: str) -> None:
        self._work = work
        self._names = names
        self._code: str | None = None

    def failed(self, error: SlipwayError | TimeoutError) -> None:
        """Log a failure unless it is the one that was logged last."""
        code, reason = (
            (error.code, error.message)
            if isinstance(error, SlipwayError)
            else ("deadline.exceeded", "It took too long.")
        )
        if code != self._code:
            log.warning("work failed", work=self._work, code=code, reason=reason, **self._names)
        self._code = code

    def crashed(self, error: Exception) -> None:
        """Log an unexpected error with its trace, unless the last one was of the same kind."""
        code = f"unexpected: {_innermost(error)}"
        if code != self._code:
            log.error("work crashed", work=self._work, code=code, exc_info=error, **self._names)
        self._code = code

    def recovered(self) -> None:
        """Log that it works again, if it did not."""
        if self._code is not None:
            log.info("work recovered", work=self._work, after=self._code, **self._names)
        self._code = None


def _innermost(error: Exception) -> str:
    """Return the type of the error that a group of tasks failed with."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
