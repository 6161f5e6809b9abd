"""The SMTP doors: listeners for operators and users, their limits, and the frozen envelope they hand on."""
