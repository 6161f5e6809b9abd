"""From an accepted envelope to a committed decision: screening, placing, commands, forms, conversation,
outbox.
"""
