"""The page for a class: train nets live in the browser, and see neurons saturate, layers learn, SGD sit in a well.

    python -m experiments.playground [--port=8642] [--no_browser]
    python -m experiments.playground --host=0.0.0.0           for a room: who has the printed address comes in

opens a page in this machine's browser. It needs one library more, which `pip install -r requirements-playground.txt`
installs. Each visitor has a state of their own; each view names its slide of the lecture, has a link that restores what
is set, and saves what was seen as one file that plays offline. Nothing is written. Ctrl-C ends it. More:
docs/playground.md.
"""

from training import starting as starting  # isort: skip  # Before what takes long.

import errno
import importlib.util
import socket

from absl import flags

from experiments.classroom import door
from experiments.classroom.link import Link
from training import console
from training.console import Ended, fail, say

LIBRARY = "nicegui"
PORT = 8642
FIRST = "train"


def main(_: list[str]) -> None:
    host, port = flags.FLAGS.host, flags.FLAGS.port
    if importlib.util.find_spec(LIBRARY) is None:
        fail(f"{LIBRARY} is not installed; accepted: after `pip install -r requirements-playground.txt`")
    listener = bound(host, port)
    link = Link()
    link.begin(FIRST)  # It takes a while until it can work; meanwhile the rest is imported.
    try:
        serve(listener, link, host)
    except KeyboardInterrupt as error:
        if isinstance(error, Ended):  # SIGTERM, whose status says so.
            raise
        say("ended")
    finally:
        link.close()


def serve(listener: socket.socket, link: Link, host: str) -> None:
    """Says where the page is, and serves it until a signal comes."""
    from experiments.classroom import server
    from experiments.classroom.view import find_views

    port, token = listener.getsockname()[1], None if door.is_loopback(host) else door.new_token()
    address = f"http://{name_of(host)}:{port}/"
    whole = address if token is None else f"{address}?{door.TOKEN}={token}"

    def ready() -> None:
        say(f"The playground: {whole} (Ctrl-C ends it)")
        if not flags.FLAGS.no_browser:
            server.open_browser(whole)

    # A signal ends it, and is raised again afterwards.
    server.make_server(link, find_views(), token, port, ready).run(sockets=[listener])


def bound(host: str, port: int | None) -> socket.socket:
    """A socket that listens; ends in one line where it cannot. Without a port it is PORT, or a free one."""
    for tried in (PORT, 0) if port is None else (port,):
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            return socket.create_server((host, tried), family=family, backlog=128)
        except socket.gaierror as error:
            fail(f"--host={host}: {error.strerror}; accepted: an address of this machine")
        except OSError as error:
            if error.errno == errno.EADDRINUSE and tried == PORT and port is None:
                continue
            reason = error.strerror or str(error)
            given = f"--host={host}" + (f" --port={port}" if port else "")
            fail(f"{given}: {reason}; accepted: an address of this machine and a free port")
    raise AssertionError("a free port was asked for last")


def name_of(host: str) -> str:
    """What stands in the address that others type: of all addresses of this machine its name."""
    if host in ("", "0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def define_flags() -> None:
    """The flags of the command."""
    flags.DEFINE_integer("port", None, f"The port. [{PORT}, or a free one where that is taken]", 1, 65535)
    flags.DEFINE_string("host", "127.0.0.1", "The address that is listened at; other machines need the printed token.")
    flags.DEFINE_bool("no_browser", False, "Do not open the page in this machine's browser.")


if __name__ == "__main__":
    define_flags()
    console.run(main, console.parse_flags)
