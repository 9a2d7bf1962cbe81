"""The `slipway` command. What a command needs is imported when it runs, so `--version` needs nothing."""

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
    from slipway.cli.app import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
