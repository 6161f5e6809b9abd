"""Many generated documents before the agency's rules: ``make conformity``."""
