"""What the private mailbox server asks of the gateway over loopback: whose token this is, and whether a login
may be tried (Dovecot's passdb ``oauth2`` and its authentication policy).

Only that Dovecot knows the secret that each request must carry. A gateway that does not answer breaks no
login by password: Dovecot then tries without asking.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import structlog
from aiohttp import web

from gateway.failures import failure_place
from gateway.logins.bearers import Bearers
from gateway.pipeline.attempts import Guesses, login_name
from mailboxes.dovecot.settings import MASTER_USER, LoginQuestions

__all__ = ["LoginEndpoint"]

_LOOPBACK: Final = "127.0.0.1"
_USER: Final = "dovecot"
_LARGEST_QUESTION: Final = 32 * 1024
_LONGEST_ADDRESS: Final = 64


@dataclass(slots=True)
class LoginEndpoint:
    """A small HTTP server for one Dovecot. ``refused`` is told of each failed login there: whose name, from
    which address, by which protocol; ``opened`` of each token that opens an account, and when it ends.
    """

    bearers: Bearers | None
    guesses: Guesses
    clock: Callable[[], datetime]
    refused: Callable[[str, str, str], Awaitable[None]]
    opened: Callable[[str, datetime], None]
    _secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    _runner: web.AppRunner | None = None
    _unjudged: int = 0

    async def start(self) -> LoginQuestions:
        """Listen on a free port of loopback; what Dovecot must know to ask. Raises ``OSError``."""
        application = web.Application(client_max_size=_LARGEST_QUESTION, middlewares=[self._guarded])
        application.router.add_post("/introspect", self._introspect)
        application.router.add_post("/policy", self._policy)
        self._runner = web.AppRunner(application, access_log=None, handle_signals=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, _LOOPBACK, 0)
        await site.start()
        port = self._runner.addresses[0][1]
        return LoginQuestions(port, _USER, self._secret, tokens=self.bearers is not None)

    async def stop(self) -> None:
        """Answer nobody any more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    @web.middleware
    async def _guarded(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Serve only who knows the secret; a fault of ours is 500 without a word, and is logged."""
        wanted = b"Basic " + b64encode(f"{_USER}:{self._secret}".encode())
        given = request.headers.get("Authorization", "").encode("utf-8", "replace")
        if not hmac.compare_digest(wanted, given):
            return web.Response(status=403)
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:  # noqa: BLE001 - to Dovecot it is a temporary failure
            structlog.get_logger("logins").error(
                "question of the mailbox server failed", **failure_place(error)
            )
            return web.Response(status=500)

    async def _introspect(self, request: web.Request) -> web.Response:
        """Whose token is it (RFC 7662)? Dovecot then compares with the mailbox that the client wants."""
        token = (await request.post()).get("token", "")
        if self.bearers is None or not isinstance(token, str):
            return web.json_response({"active": False})
        verdict = await self.bearers.login(token, "", may_act=False)
        if verdict.temporary:
            self._unjudged += 1
            return web.Response(status=503)
        if not verdict.account:
            structlog.get_logger("logins").info("token refused", reason=verdict.reason, protocol="imap")
            return web.json_response({"active": False})
        if verdict.until is not None:
            self.opened(verdict.account, verdict.until)
        return web.json_response({"active": True, "username": verdict.account})

    async def _policy(self, request: web.Request) -> web.Response:
        """May this login be tried, or: how did it end (Dovecot's authentication policy protocol)?"""
        told = _question(await request.read())
        login, address = login_name(told["login"]), told["remote"][:_LONGEST_ADDRESS]
        now = self.clock()
        if request.query.get("command") == "report":
            await self._reported(told, login, address, now)
            return web.json_response({"status": 0})
        # Our own filing must not be kept out by others' failures; nobody guesses its 256 random bits.
        master = login.endswith(f"*{MASTER_USER}")
        blocked = not master and self.guesses.blocked(login, address, now)
        return web.json_response(
            {"status": -1, "msg": "Too many failed logins"} if blocked else {"status": 0}
        )

    async def _reported(self, told: dict[str, Any], login: str, address: str, now: datetime) -> None:
        if told["success"] is True:
            self.guesses.succeeded(login, address)
        elif self._unjudged:
            # A token that could not be judged; Dovecot 2.3.19 reports it like a wrong one.
            self._unjudged -= 1
        elif told["policy_reject"] is not True:
            self.guesses.failed(login, address, now)
            await self.refused(login, address, told["protocol"])


def _question(body: bytes) -> dict[str, Any]:
    """Read what Dovecot says. Raises ``HTTPBadRequest`` for what is no such question."""
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise web.HTTPBadRequest from None
    if not isinstance(told, dict):
        raise web.HTTPBadRequest
    texts = {name: told.get(name) or "" for name in ("login", "remote", "protocol")}
    if not all(isinstance(text, str) for text in texts.values()):
        raise web.HTTPBadRequest
    return {**texts, "success": told.get("success"), "policy_reject": told.get("policy_reject")}
