"""What is done after the commit: one outbox action at a time, retried, held or given up with a report."""
