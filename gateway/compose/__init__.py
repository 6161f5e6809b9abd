"""Mails that the gateway writes, and copies of mails that it passes on."""
