"""Who is let in: on the loopback the browsers of this machine, in a room who has the token that was printed."""

import hmac
import ipaddress
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable[[], Awaitable[Any]], Callable[[Any], Awaitable[None]]], Awaitable[None]]
TOKEN = "token"


def new_token() -> str:
    """A token that nobody guesses."""
    return secrets.token_urlsafe(12)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach that address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def name_in(address: str) -> str:
    """The host of an address, '' where it names none."""
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


class Door:
    """The application behind it, for those who may come in.

    A page of another site could reach this server through a visitor's browser, under a name of its own or by its
    address: requests that name another host or come from another origin are refused. With a token only those come in
    who have it in the address, once, or in the cookie that they are given for it.
    """

    def __init__(self, application: Application, port: int, token: str | None) -> None:
        self._application, self._token, self._cookie = application, token, f"plateau-{port}"

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Lets a request through, or answers it."""
        if scope["type"] not in ("http", "websocket"):
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get("host", ""), headers.get("origin")
        if self._token is None and not is_loopback(name_in(f"//{host}")):
            await _refuse(scope, send, "accepted: 127.0.0.1 or localhost")
        elif origin and origin.partition("://")[2] != host:
            await _refuse(scope, send, "accepted: requests of this page itself")
        elif self._token is None or self._is_token(_cookie(headers, self._cookie)):
            await self._application(scope, receive, send)
        else:
            await self._ask(scope, send)

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    async def _ask(self, scope: Scope, send: Any) -> None:
        """Gives the cookie to who has the token in the address, and shows the address without it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if scope["type"] != "http" or not self._is_token(dict(query).get(TOKEN, "")):
            await _refuse(scope, send, "accepted: the address with the token that the server has printed")
            return
        rest = urlencode([(name, value) for name, value in query if name != TOKEN])
        address = "/" + scope["path"].lstrip("/") + (f"?{rest}" if rest else "")
        cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Lax"
        headers = [("location", address), ("set-cookie", cookie), ("cache-control", "no-store")]
        await _answer(send, HTTPStatus.SEE_OTHER, "", headers)


def _cookie(headers: dict[str, str], name: str) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[name].value if name in cookies else ""


async def _refuse(scope: Scope, send: Any, words: str) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008, "reason": words})
    else:
        await _answer(send, HTTPStatus.FORBIDDEN, words, [])


async def _answer(send: Any, status: HTTPStatus, text: str, headers: list[tuple[str, str]]) -> None:
    content = text.encode()
    headers = [*headers, ("content-type", "text/plain; charset=utf-8"), ("content-length", str(len(content)))]
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    await send({"type": "http.response.start", "status": int(status), "headers": encoded})
    await send({"type": "http.response.body", "body": content})
