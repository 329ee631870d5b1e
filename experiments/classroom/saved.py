"""A page that was saved: one HTML file that plays the frames that were shown, offline, with a slider."""

import re
from html import escape

from experiments.classroom.markup import figures, read
from experiments.classroom.session import Session, settings_in_words


def file_name(session: Session) -> str:
    """What the file is called."""
    return f"plateau-{session.view.name}.html"


def page_text(session: Session) -> str:
    """The page, with its style, its script and the frames in it."""
    view, frames = session.view, ",".join(frame.text for frame in session.frames.all())
    style = read(f"views/{view.style}") if view.style else ""
    parts = {
        "TITLE": escape(view.title),
        "SLIDE": escape(view.slide),
        "LOOK": escape(view.look_for),
        "SETTINGS": escape(settings_in_words(view, session.state)),
        "FIGURES": figures(view.places),
        "STYLE": read("classroom.css") + style,
        # The first `</script` would end the element, and after a `<!--` the next one would not.
        "FRAMES": f"[{frames}]".replace("</", "<\\/").replace("<!", "\\u003c!"),
        "SCRIPT": read("pictures.js") + read("saved.js"),
    }
    return re.sub(f"@({'|'.join(parts)})@", lambda match: parts[match[1]], read("saved.html"))
