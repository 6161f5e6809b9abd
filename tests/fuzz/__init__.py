"""The fuzzer: every parser against mutated input, longer than tests have time for (``make fuzz``)."""
