"""Says a failure that lasts once, and its end once: a log is read by people."""

from slipway.contracts.problems import SlipwayError
from slipway.runtime.process.logs import get_logger

log = get_logger()


class OutageLog:
    """What is known to be wrong with one thing."""

    def __init__(self, work: str, **names: str) -> None:
        self._work = work
        self._names = names
        self._code: str | None = None

    def met(self, error: SlipwayError | TimeoutError) -> None:
        """Log a failure unless it is the one that was logged last."""
        code, reason = (
            (error.code, error.message)
            if isinstance(error, SlipwayError)
            else ("deadline.exceeded", "It took too long.")
        )
        if code != self._code:
            log.warning("work fails", work=self._work, code=code, reason=reason, **self._names)
        self._code = code

    def broke(self, error: Exception) -> None:
        """Log an error that nobody foresaw, with its trace, unless the last one was of its kind."""
        code = f"unforeseen: {_innermost(error)}"
        if code != self._code:
            log.error("work breaks", work=self._work, code=code, exc_info=error, **self._names)
        self._code = code

    def over(self) -> None:
        """Log that it works again, if it did not."""
        if self._code is not None:
            log.info("work goes on", work=self._work, after=self._code, **self._names)
        self._code = None


def _innermost(error: Exception) -> str:
    """Name what a group of tasks failed of."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return type(error).__name__
