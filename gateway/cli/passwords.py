"""Passwords at the command line: read from a file or made, never an argument that a process list shows."""

from __future__ import annotations

import secrets
from typing import IO

import click

from gateway.errors import GatewayError
from gateway.logins.passwords import password_hasher

__all__ = ["choose_password", "hashed", "password_file_option"]

_SHORTEST = 12
_LONGEST = 256
#: Without letters and digits that are taken for each other: people type these into their telephones.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP = 4, 5

password_file_option = click.option(
    "--password-file",
    type=click.File(encoding="utf-8"),
    metavar="FILE",
    help="Password in the first line of FILE ('-': standard input); absent: one is made and printed.",
)


def choose_password(file: IO[str] | None) -> tuple[str, bool]:
    """The password and whether it was made here (about 99 bits). Raises :class:`GatewayError` for an
    unusable one.
    """
    if file is None:
        groups = ("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
        return "-".join(groups), True
    try:
        password = file.readline(_LONGEST + 2).rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise GatewayError("the password is not UTF-8 text") from error
    if not _SHORTEST <= len(password) <= _LONGEST:
        raise GatewayError(f"a password has {_SHORTEST} to {_LONGEST} characters")
    if not password.isprintable():
        raise GatewayError("a password has no control characters")
    return password, False


def hashed(password: str) -> str:
    """The argon2id hash as accounts keep it."""
    return password_hasher().hash(password)
