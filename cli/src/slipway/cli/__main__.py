"""The `slipway` command. What a command needs is imported when it runs, so `--version` needs nothing."""

import gc
import os
import signal
import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    if arguments is None:
        arguments = sys.argv[1:]
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            # To load a command takes a moment. Ctrl-C just ends it then; one that runs handles it itself.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    _open_streams()
    if list(arguments) == ["--version"]:
        from slipway.cli.version import version_line

        print(version_line())
        return 0
    # httpx has a command of its own; without it, what that needs (click, rich, pygments) is not imported.
    sys.modules["httpx._main"] = None  # type: ignore[assignment]  # as Python itself marks what is not there
    # What is loaded here is needed to the end; `session.run_to_end` begins to collect.
    gc.disable()
    try:
        from slipway.cli.app import run

        return run(arguments)
    finally:
        gc.enable()


def _open_streams() -> None:
    """Read nothing and write nowhere where the caller has closed a stream: Python has none then."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 - to the end


if __name__ == "__main__":
    sys.exit(main())
