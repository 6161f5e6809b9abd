"""Trust: certificates, CMS and S/MIME signatures, the trust list of operators, TLS contexts and a test PKI.

Deciding modules are pure: octets, certificates and `now` go in, a verdict comes out (`verdicts`, `names`,
`fields`, `entities`, `ber`, `der`, `algorithms`, `cms`, `signing`, `paths`, `pathrules`, `pathcache`,
`revocations`, `protection`, `legacydisplay`, `smime`, `ciphers`, `enveloped`, `recipients`, `envelopes`,
`results`, `operators`, `dkim`). Only `authority` and `dkim.making` (random keys), `pki` (files) and `tls`
(ssl contexts) touch the machine.
"""
