"""The mailbox server seen from outside: delivery, filing, folders, and the private Dovecot that serves them.

The package is not named ``mailbox`` because an installed package of that name is hidden by the standard
library.
"""
