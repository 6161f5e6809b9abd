"""Outbound: mail to other operators over mutual TLS, delivery reports, and when to try again."""
