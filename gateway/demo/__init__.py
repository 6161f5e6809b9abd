"""The demonstration: invented people and experts, and one conversation played through a gateway."""
