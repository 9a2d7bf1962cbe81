"""Texts of `template.yaml` that have a form: its pattern, and in words with an example what it has to be.

The words are the field's description for editors, and stand in the message about one that does not fit.
"""

from typing import Annotated

from pydantic import BeforeValidator, Field

Name = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}$",
        description="up to 63 lower-case letters, digits and hyphens, like web-1",
    ),
]
Package = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z0-9@][a-zA-Z0-9@/_.:~+=<>-]{0,127}$",
        description="a package's name, like nginx or nginx=1.22.1-9, without blanks",
    ),
]
Tag = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_+.-]*$",
        description="a tag: letters, digits and _ + . -, like web-1",
    ),
]
VariableName = Annotated[
    str,
    Field(
        pattern=r"^[a-z][a-z0-9_]{0,62}$",
        description="a letter and up to 62 lower-case letters, digits and underscores, like db_name",
    ),
]
GuestPath = Annotated[
    str,
    Field(
        pattern=r"^/[^\n\x00]{1,255}$",
        description="an absolute path in the guest of up to 256 characters, like /etc/motd",
    ),
]
Credential = Annotated[
    str,
    Field(
        pattern=r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9_-]{0,62}$",
        description="a service and a name, in lower case, like postgresql/password",
    ),
]
Version = Annotated[
    str, Field(pattern=r"^\d+\.\d+\.\d+$", description='three numbers with dots between, like "1.10.0"')
]
OsTemplate = Annotated[
    str,
    Field(
        pattern=r"^[a-zA-Z0-9][^\s/:]*$",
        description="the start of an archive's name without its storage, like debian-12-standard",
    ),
]


def _four_digits(mode: object) -> object:
    """Return a mode of three digits with the fourth, which most leave out."""
    return f"0{mode}" if isinstance(mode, str) and len(mode) == len("640") else mode


Mode = Annotated[
    str,
    Field(pattern=r"^[0-7]{4}$", description='four octal digits in quotes, like "0640"'),
    BeforeValidator(_four_digits),
]
