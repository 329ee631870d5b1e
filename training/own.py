"""What a config takes from a file of the user's own, as FILE.py:NAME: found, kept as text, and run when it is needed.

The text of the file is part of the config that names it. So it belongs to the identity of a run, travels to the workers
of a cluster, and is there when a run is resumed or evaluated, also where the file has changed or gone. Nothing is run
while a config or a folder is read: only what trains, measures or evaluates runs it. A file is one text: what it imports
has to be installed, and is not kept with it.
"""

import functools
import hashlib
import json
import linecache
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

MARK = ".py:"
DIGEST = "sha256:"
LONGEST_TEXT = 1_000_000


class OwnError(ValueError):
    """A file of one's own that cannot be used, in one line without the field that names it."""


def is_reference(word: str) -> bool:
    """Whether a word is FILE.py:NAME, and no name of what Plateau brings."""
    file, mark, name = word.rpartition(MARK)
    return bool(mark and file and name.isidentifier())


def parts_of(reference: str) -> tuple[str, str]:
    """The file and the name in FILE.py:NAME."""
    file, _, name = reference.rpartition(MARK)
    return f"{file}.py", name


def shortest(reference: str) -> str:
    """The reference with its file relative to the folder that this process is in, where it lies within."""
    file, name = parts_of(reference)
    file = os.path.expanduser(file)
    try:
        relative = os.path.relpath(file) if os.path.isabs(file) else os.path.normpath(file)
    except OSError:  # The folder is gone.
        relative = file
    return f"{file if relative.startswith(os.pardir) else relative}:{name}"


def without_folder(reference: str) -> str:
    """The reference as it stands in a run's identity: where the file lies is none of it."""
    file, name = parts_of(reference)
    return f"{Path(file).name}:{name}"


def code_of(references: Iterable[str], known: str = "") -> str:
    """The texts of the files that are named, as one text in JSON; '' where none is. What is `known`, another such text,
    is not read again. OwnError for a file that is not there or is no text."""
    texts = texts_in(known)
    files = sorted({parts_of(reference)[0] for reference in references})
    return json.dumps({file: texts.get(file) or _read(file) for file in files}) if files else ""


def called_alike(files: Iterable[str]) -> str | None:
    """The name that two of the files have, None where each has its own."""
    names = [Path(file).name for file in files]
    return next((name for i, name in enumerate(names) if name in names[:i]), None)


def texts_in(code: str) -> dict[str, str]:
    """The texts by file in what `code_of` gave; none in its digest."""
    return json.loads(code) if code.startswith("{") else {}


def is_code(code: str) -> bool:
    """Whether it is what `code_of` gives, or the digest of that."""
    if not code or (code.startswith(DIGEST) and len(code) == len(DIGEST) + 16):
        return True
    try:
        texts = json.loads(code)
    except (ValueError, RecursionError):
        return False
    return isinstance(texts, dict) and all(isinstance(text, str) for text in texts.values())


def digest_of(code: str) -> str:
    """What stands for the texts in a table and in an identity: the same for the same texts of files of the same names,
    wherever they lie."""
    if not code.startswith("{"):
        return code
    files = sorted((Path(file).name, text) for file, text in texts_in(code).items())
    return DIGEST + hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _read(file: str) -> str:
    try:
        text = Path(file).read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise OwnError(f"there is no file {file}") from error
    except (OSError, ValueError) as error:
        raise OwnError(f"the file {file} cannot be read ({error})") from error
    if len(text) > LONGEST_TEXT:
        raise OwnError(f"the file {file} has {len(text):,} characters, more than {LONGEST_TEXT:,}")
    return text


def load(reference: str, code: str) -> Any:
    """What FILE.py:NAME is, its file run once for its text. OwnError where the text is not at hand, fails, or has no
    such name."""
    file, name = parts_of(reference)
    text = texts_in(code).get(file)
    if text is None:
        raise OwnError(f"the text of {file} is not at hand")
    module = _run(file, text)
    if not hasattr(module, name):
        public = [key for key, value in vars(module).items() if getattr(value, "__module__", "") == module.__name__]
        raise OwnError(f"{file} has no {name}; it has {', '.join(public) or 'nothing that can be called'}")
    return getattr(module, name)


@functools.cache
def _run(file: str, text: str) -> ModuleType:
    """The module that the text makes; its functions have their places in the file, also where that has changed."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:12]
    module = ModuleType(f"{Path(file).stem}_{digest}")
    module.__file__ = file
    # Dataclasses and pickles look their module up.
    sys.modules[module.__name__] = module
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file
    try:
        exec(compile(text, file, "exec", dont_inherit=True), module.__dict__)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # A file may raise anything, and end the program.
        raise OwnError(f"{file} cannot be run: {said_of(error, file)}") from error
    return module


def said_of(error: BaseException, file: str) -> str:
    """An error that a file of one's own raised, with the line of that file."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f"{type(error).__name__}: {error.msg}, line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == file]
    return f"{type(error).__name__}: {error}" + (f", line {lines[-1]}" if lines else "")
