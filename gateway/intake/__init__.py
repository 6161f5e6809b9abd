"""From received octets to a letter: pure, bounded, total."""
