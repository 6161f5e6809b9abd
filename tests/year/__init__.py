"""A generated year of a region: planned, loaded through the domain, exported, and reckoned apart.

    python -m tests.year --year 2025 --seed 43

Everything in it is invented; the same seed gives the same year, octet for octet.
"""
