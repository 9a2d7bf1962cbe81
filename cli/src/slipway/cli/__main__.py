"""The `slipway` command. What a command needs is imported when it runs, so `--version` needs nothing."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if list(arguments) == ["--version"]:
        from slipway.cli.version import version_line

        print(version_line())
        return 0
    from slipway.cli.app import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
