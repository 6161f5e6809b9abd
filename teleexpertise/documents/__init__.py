"""National documents: the report as CDA TLM-CR, the request as TLM-DA, and the checks before they leave."""
