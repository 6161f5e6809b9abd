"""What a certification path must satisfy beside its form: algorithms of every signature in it, and the
certificate policies that it must carry (RFC 5280 §6.1.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyhanko_certvalidator.policy_decl import (
    AcceptAllAlgorithms,
    AlgorithmUsageConstraint,
    AlgorithmUsagePolicy,
    PKIXValidationParams,
)

from certs.algorithms import DIGESTS, AlgorithmRefused, load_public_key, read_algorithm
from certs.cms import DECODING_ERRORS

__all__ = ["ANY_POLICY", "ModernAlgorithms", "PathRules"]

ANY_POLICY = frozenset({"any_policy"})
"""The set of policies that accepts each of them."""

_ALLOWED = AlgorithmUsageConstraint(allowed=True)
_REFUSED = AlgorithmUsageConstraint(allowed=False, failure_reason="too weak or unknown")


class ModernAlgorithms(AlgorithmUsagePolicy):
    """The algorithms of `certs.algorithms` for the signatures of certificates, too: what a message may not be
    signed with, its certificate may not be issued with (RFC 8550 §4.3, RFC 8551 §2.2).

    The moment does not matter: no signature here is older than the certificates that are in force.
    """

    def digest_algorithm_allowed(self, algo: Any, moment: datetime | None) -> AlgorithmUsageConstraint:
        """Allow SHA-256, SHA-384 and SHA-512."""
        return _ALLOWED if algo["algorithm"].native in DIGESTS else _REFUSED

    def signature_algorithm_allowed(
        self, algo: Any, moment: datetime | None, public_key: Any
    ) -> AlgorithmUsageConstraint:
        """Allow RSA from 2048 bits, ECDSA on the NIST curves and Ed25519, each with such a digest.

        `public_key` is the issuer's, so that a weak certification authority is refused, too.
        """
        try:
            digest = "sha512" if algo["algorithm"].native == "ed25519" else algo.hash_algo
            read_algorithm(algo, digest)
            if public_key is not None:
                load_public_key(public_key.dump())
        except (AlgorithmRefused, *DECODING_ERRORS):  # parameters that are missing or of another kind
            return _REFUSED
        return _ALLOWED


@dataclass(frozen=True, slots=True)
class PathRules:
    """The inputs of path validation that a deployment may tighten (RFC 5280 §6.1.1 c, e-g).

    `policies` are dotted identifiers of acceptable certificate policies, or `ANY_POLICY`; with
    `explicit_policy` a path without one of them fails. Without `modern_algorithms` each algorithm is allowed,
    which is for published test paths only: some of them use DSA.
    """

    policies: frozenset[str] = ANY_POLICY
    explicit_policy: bool = False
    inhibit_mapping: bool = False
    inhibit_any_policy: bool = False
    modern_algorithms: bool = True

    @property
    def algorithms(self) -> AlgorithmUsagePolicy:
        """What decides about each signature of the path."""
        return ModernAlgorithms() if self.modern_algorithms else AcceptAllAlgorithms()

    def parameters(self) -> PKIXValidationParams:
        """Return them in the terms of the validator."""
        return PKIXValidationParams(
            user_initial_policy_set=self.policies,
            initial_policy_mapping_inhibit=self.inhibit_mapping,
            initial_explicit_policy=self.explicit_policy,
            initial_any_policy_inhibit=self.inhibit_any_policy,
        )
