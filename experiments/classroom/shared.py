"""What all visitors share, since making it takes long: each is made once, by whoever asks first."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

Key = TypeVar("Key")
Made = TypeVar("Made")


class Shared(Generic[Key, Made]):
    """Values by their keys, at most so many: the one that has not been asked for longest goes. Who asks for one that is
    being made waits for that one, and for no other."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._made: dict[Key, Future[Made]] = {}

    def get(self, key: Key, make: Callable[[], Made]) -> Made:
        """The value, made here where nobody has made it; one whose making failed is made again."""
        with self._lock:
            found = self._made.pop(key, None)
            future = self._made[key] = found or Future[Made]()
            while len(self._made) > self._most:  # The oldest is the first.
                self._made.pop(next(iter(self._made)))
        if not found:
            try:
                future.set_result(make())
            except BaseException as error:
                with self._lock:
                    if self._made.get(key) is future:
                        del self._made[key]
                future.set_exception(error)
        return future.result()
