"""From received octets to a letter: pure, bounded, total (design section 3, step 2)."""
