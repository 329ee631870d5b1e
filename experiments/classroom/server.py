"""The server of the page, on NiceGUI: a page a view, a session a visitor, the line to the worker.

NiceGUI keeps the connection to each browser, hands on events and builds the page again where a connection was lost; all
its parts are served from this machine. docs/playground.md says why it was chosen.
"""

import asyncio
import os
import sys
import threading
import webbrowser
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from nicegui import Client, app, events, ui
from starlette.requests import Request

from experiments.classroom import saved
from experiments.classroom.door import Door
from experiments.classroom.link import Link
from experiments.classroom.markup import FOLDER, page_markup
from experiments.classroom.session import Session
from experiments.classroom.view import View

# Seconds that a visitor whose connection is lost may take to come back.
RECONNECTS_WITHIN = 5.0
STATIC = "/classroom"


def make_app(link: Link, views: dict[str, View], token: str | None, port: int) -> Any:
    """The application: `/` and `/VIEW` are pages, `/saved/VISITOR` what a visitor saves."""
    sessions: dict[str, Session] = {}
    outer = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    files = ["classroom.css", "pictures.js", "classroom.js"]
    files += [f"views/{name}" for view in views.values() for name in (view.script, view.style) if name]
    for name in dict.fromkeys(files):
        app.add_static_file(local_file=FOLDER / name, url_path=f"{STATIC}/{name}", max_cache_age=0)

    @ui.page("/")
    def first() -> Response:
        return RedirectResponse(f"/{next(iter(views))}")

    @ui.page("/{name}")
    def page(name: str, request: Request, client: Client) -> Response | None:
        view = views.get(name)
        if view is None:
            return PlainTextResponse(f"no view {name[:60]!r}; accepted: {', '.join(views)}", 404)
        session = Session(view, request.url.query, link, client.run_javascript)
        sessions[session.key] = session
        _build(view, views, session)

        def heard(event: events.GenericEventArguments) -> None:
            if isinstance(event.args, dict):
                session.heard(str(event.args.get("name")), event.args.get("value"))

        def left() -> None:
            session.close()
            sessions.pop(session.key, None)

        ui.on("classroom", heard)
        client.on_connect(session.connected)
        client.on_delete(left)
        return None

    @outer.get("/saved/{key}")
    def save(key: str) -> Response:
        if (session := sessions.get(key)) is None:
            return PlainTextResponse("that visitor has gone; accepted: the button of an open page", 404)
        headers = {
            "Content-Disposition": f'attachment; filename="{saved.file_name(session)}"',
            "Cache-Control": "no-store",
        }
        return HTMLResponse(saved.page_text(session), headers=headers)

    # A bar without a name would come and go with every request.
    app.config.quasar_config["loadingBar"]["skipHijack"] = True
    app.on_startup(lambda: link.start(asyncio.get_running_loop()))
    ui.run_with(
        outer,
        title="Plateau",
        dark=None,
        language="en-US",
        binding_refresh_interval=None,
        reconnect_timeout=RECONNECTS_WITHIN,
        message_history_length=100,
        tailwind=False,
        show_welcome_message=False,
    )
    return Door(outer, port, token)


def _build(view: View, views: dict[str, View], session: Session) -> None:
    """What stands on the page before anything is sent."""
    styles = ["classroom.css", *([f"views/{view.style}"] if view.style else [])]
    scripts = ["pictures.js", "classroom.js", *([f"views/{view.script}"] if view.script else [])]
    ui.page_title(f"Plateau: {view.title}")
    ui.add_head_html("".join(f'<link rel="stylesheet" href="{STATIC}/{name}">' for name in styles))
    ui.add_head_html("".join(f'<script src="{STATIC}/{name}"></script>' for name in scripts))
    ui.html(page_markup(view, views.values(), session.key), sanitize=False).classes("w-full").style("width: 100%")


def make_server(
    link: Link, views: dict[str, View], token: str | None, port: int, ready: Callable[[], None]
) -> uvicorn.Server:
    """What serves the application; `ready` is called when it answers."""
    application = make_app(link, views, token, port)
    app.on_startup(ready)
    return uvicorn.Server(
        uvicorn.Config(application, log_level="critical", access_log=False, timeout_graceful_shutdown=1, lifespan="on")
    )


def open_browser(address: str) -> None:
    """Opens the visitor's browser, where there is a screen: one in the terminal would take that."""
    has_screen = os.name != "posix" or sys.platform == "darwin"
    if has_screen or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
