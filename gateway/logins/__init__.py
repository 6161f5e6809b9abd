"""Logins: passwords, tokens of an identity provider, and client certificates of applications."""
