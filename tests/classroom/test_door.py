"""Who is let in."""

import asyncio

import pytest

from experiments.classroom.door import Door, new_token


async def behind(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"in"})


def ask(door, kind="http", query="", **headers):
    """The status of an answer and its headers; of a web socket None where it was refused."""
    sent = []

    async def send(message):
        sent.append(message)

    named = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": kind, "headers": named, "query_string": query.encode(), "path": "/train"}
    asyncio.run(door(scope, None, send))
    first = sent[0]
    return first.get("status"), {name.decode(): value.decode() for name, value in first.get("headers", [])}


@pytest.mark.parametrize("host", ["127.0.0.1:8642", "127.0.0.2:8642", "localhost:8642", "[::1]:8642"])
def test_this_machine_comes_in(host):
    """With any name of the loopback."""
    assert ask(Door(behind, 8642, None), host=host)[0] == 200
    assert ask(Door(behind, 8642, None), host=host, origin=f"http://{host}")[0] == 200


def test_pages_of_other_sites_do_not():
    """Neither under a name of their own nor from their own page, over a web socket as well."""
    door = Door(behind, 8642, None)
    assert ask(door, host="evil.example:8642")[0] == 403
    assert ask(door, host="[")[0] == ask(door, host="127.0.0.1:8642", origin="http://[")[0] == 403
    assert ask(door, host="127.0.0.1:8642", origin="http://evil.example")[0] == 403
    assert ask(door, "websocket", host="127.0.0.1:8642", origin="http://evil.example")[0] is None


def test_a_room_needs_the_token():
    """Once in the address; then the cookie is enough, and the address is shown without it."""
    token = new_token()
    door = Door(behind, 8642, token)
    assert ask(door, host="teacher:8642")[0] == 403
    assert ask(door, host="teacher:8642", query="token=wrong")[0] == 403
    status, headers = ask(door, host="teacher:8642", query=f"token={token}&seed=3")
    assert status == 303 and headers["location"] == "/train?seed=3"
    cookie = headers["set-cookie"].partition(";")[0]
    assert "HttpOnly" in headers["set-cookie"]
    assert ask(door, host="teacher:8642", cookie=cookie)[0] == 200
    assert ask(door, host="teacher:8642", cookie=f"{cookie}x")[0] == 403
    assert ask(door, "websocket", host="teacher:8642")[0] is None
    assert ask(door, "websocket", host="teacher:8642", cookie=cookie)[0] == 200
