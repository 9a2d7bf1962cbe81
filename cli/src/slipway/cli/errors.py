"""Failures of a command that the person who typed it can understand: one line, and an exit status."""


class CommandFailed(Exception):
    """A command did not do what it should; the text says what happened, why, and what to do."""

    status = 1


class WrongInput(CommandFailed):
    """The command line itself has to be corrected."""

    status = 2
