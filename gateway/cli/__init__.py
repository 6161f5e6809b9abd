"""The one command line of operators. Exit codes: 0 done, 1 refused or not valid, 2 wrong use, 3 not
available now.
"""

from gateway.cli.root import main

__all__ = ["main"]
