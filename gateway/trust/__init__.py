"""The trust space kept current: the list of operators and the revocation lists, on disk, by network, at
work.
"""
