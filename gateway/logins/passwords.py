"""How passwords of accounts are kept."""

from __future__ import annotations

from argon2 import PasswordHasher

__all__ = ["password_hasher"]


def password_hasher() -> PasswordHasher:
    """Argon2id at OWASP's smallest setting; one lane, because Dovecot's libsodium verifies no other."""
    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
