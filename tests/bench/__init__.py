"""Measurements of the parts, beside what others do of the same in the same run (``make bench``)."""
