"""Logins with an access token at a served gateway: submission and IMAP, good tokens and bad ones."""

from __future__ import annotations

import base64
import imaplib
import json
import smtplib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support import region
from tests.support.gateway import TestGateway, gateway
from tests.support.prosante import CLIENT, ISSUER, ProSante, pro_sante
from teleexpertise.people import Account


@pytest.fixture(scope="module")
def issuer() -> Iterator[ProSante]:
    with pro_sante() as made:
        yield made


@pytest.fixture(scope="module")
def served(issuer: ProSante) -> Iterator[TestGateway]:
    oauth = (
        f'\n[oauth]\nenabled = true\nissuer = "{ISSUER}"\naudiences = ["{CLIENT}"]\n'
        f'jwks_url = "{issuer.url}"\nretry_s = 1\n'
    )
    with gateway(oauth) as made:
        yield made


def xoauth2(user: str, token: str) -> str:
    return f"user={user}\x01auth=Bearer {token}\x01\x01"


def oauthbearer(user: str, token: str) -> str:
    who = f"a={user}" if user else ""
    return f"n,{who},\x01host=localhost\x01port=993\x01auth=Bearer {token}\x01\x01"


MESSAGES = {"XOAUTH2": xoauth2, "OAUTHBEARER": oauthbearer}


def imap_opens(served: TestGateway, mechanism: str, user: str, token: str) -> bool:
    session = imaplib.IMAP4_SSL("localhost", served.imaps_port, ssl_context=served.tls)
    try:
        session.authenticate(mechanism, lambda _: MESSAGES[mechanism](user, token).encode())
        return session.select("INBOX")[0] == "OK"
    except imaplib.IMAP4.error:
        return False
    finally:
        session.shutdown()


@pytest.mark.parametrize("mechanism", list(MESSAGES))
def test_a_token_opens_the_mailbox_of_its_holder(
    served: TestGateway, issuer: ProSante, mechanism: str
) -> None:
    assert imap_opens(served, mechanism, region.GP.address, issuer.token(region.GP.rpps))
