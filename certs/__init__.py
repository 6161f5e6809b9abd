"""Trust: certificates, CMS and S/MIME signatures, the trust list of operators, TLS contexts and a test PKI.

Deciding modules (`verdicts`, `names`, `fields`, `entities`, `cms`, `signing`, `paths`, `smime`, `results`,
`operators`) are pure: bytes, certificates and `now` go in, a verdict comes out. Only `authority` (random
keys), `pki` (files) and `tls` (ssl contexts) touch the machine.
"""
