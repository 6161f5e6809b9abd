"""What can keep the gateway from running, with the exit code of the command line.

::

    ToldInOneLine
    ├── GatewayError (1: refused or not valid)
    │   ├── DeploymentIncomplete  (1) a file of the deployment is missing or wrong
    │   └── NotAvailable          (3) something needed is not there now: a port, a server, a package
    └── StoreError                    what the database refuses: gateway.store.errors
"""

from __future__ import annotations

from typing import ClassVar

__all__ = ["DeploymentIncomplete", "GatewayError", "NotAvailable", "ToldInOneLine"]


class ToldInOneLine(Exception):
    """Shown to an operator in one line; the command ends with ``exit_code``."""

    exit_code: ClassVar[int] = 1


class GatewayError(ToldInOneLine):
    """Something that a command was asked for cannot be done."""


class DeploymentIncomplete(GatewayError):
    """A file of the deployment is missing or wrong: the text names it and what makes it."""


class NotAvailable(GatewayError):
    """Something that the command needs is not there now."""

    exit_code = 3
