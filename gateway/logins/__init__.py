"""Logins other than by password: tokens of an identity provider, and client certificates of applications."""
