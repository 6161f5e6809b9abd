"""A private Dovecot 2.3: its settings, its configuration, its logins and the supervisor that runs it."""
