"""Billing: which act each side of a finalised conversation may bill, for how much, and what stands in its
way.
"""
