"""The domain of tele-expertise, pure: people, letters, forms, rules, conversation and documents.

Nothing here touches a socket, a clock, a database or chance: facts, state and ``now`` go in, a decision
comes out.
"""
