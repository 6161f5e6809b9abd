"""What an operator is told of the files that this room reads; the modules that read them load more."""

from typing import ClassVar

__all__ = ["RuleError"]


class RuleError(ValueError):
    """A rule that cannot be used: says which rule, which key, and what is wrong or known."""

    exit_code: ClassVar[int] = 1
