"""The `slipway` command. What a command needs is imported when it runs, so `--version` needs nothing."""

import gc
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


if __name__ == "__main__":
    sys.exit(main())
