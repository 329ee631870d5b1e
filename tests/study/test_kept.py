"""What a study keeps: it goes on where it was, unless its numbers would be made of something else now."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

from experiments.escape import saturated_saddle
from experiments.study import command, kept, plateau_nets
from experiments.study.kept import Kept, digest_of
from training.files import RunError


def never():
    """What is not to be made again."""
    raise AssertionError("made again")


def test_what_is_kept_is_not_made_again(tmp_path):
    """By key, from many threads, infinities as well; what is made of something else stands beside it."""
    with Kept(tmp_path, "this") as first, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: first(str(i), lambda: [i, math.inf]), range(50)))
        assert first("7", never) == [7.0, math.inf]
    with Kept(tmp_path, "that") as other:
        assert other("7", lambda: [8]) == [8.0]
    with Kept(tmp_path, "this") as again:
        assert [again(str(i), never) for i in range(50)] == [[i, math.inf] for i in range(50)]
        assert again("50", lambda: [1]) == [1.0]
        with pytest.raises(RunError, match="in use by another process"):
            Kept(tmp_path, "this")
    kept.forget(tmp_path)
    with Kept(tmp_path, "this") as again, pytest.raises(AssertionError):
        again("7", never)


def test_from_a_damaged_line_on_it_is_made_anew(tmp_path):
    """What stands before it is sound."""
    with Kept(tmp_path, "this") as first:
        for i in range(4):
            first(str(i), lambda i=i: [i])
    path = tmp_path / "kept-this.jsonl"
    path.write_bytes(path.read_bytes().replace(b"[2.0]", b"[9.0]"))
    with Kept(tmp_path, "this") as again:
        assert again("1", never) == [1.0] and again("2", lambda: [5]) == [5.0] and again("3", lambda: [6]) == [6.0]


def test_what_killed_processes_took_is_known(tmp_path, monkeypatch):
    """Each from its beginning to its last number, those of the fresh seeds as well; nothing where all is new."""
    times = iter([100.0, 101.0, 103.5, 200.0, 202.0, 300.0])
    monkeypatch.setattr(kept.time, "monotonic", lambda: next(times))
    for there, made in (("", "ab"), ("ab", "c"), ("abc", "")):
        with Kept(tmp_path, "this") as one:
            assert [one(key, never) for key in there] == [[1.0]] * len(there)
            assert [one(key, lambda: [1]) for key in made] == [[1.0]] * len(made)
    assert kept.seconds_before(tmp_path) == 3.5 + 2.0
    times = iter([0.0])
    (tmp_path / "fresh").mkdir()
    with Kept(tmp_path / "fresh", "this"):
        assert kept.seconds_before(tmp_path) == 5.5
    assert kept.seconds_before(tmp_path / "nothing") == 0


def test_digest_is_of_code_and_sizes(monkeypatch):
    """Of other files, another size or another compiler it is another."""
    rooms = saturated_saddle.MADE_OF
    one = digest_of(rooms, 500, 50)
    assert one == digest_of(rooms, 500, 50)
    others = {digest_of(rooms[:1], 500, 50), digest_of(rooms, 500, 51)}
    monkeypatch.setattr(kept, "versions", dict)
    assert one not in others | {digest_of(rooms, 500, 50)}


def test_study_that_was_killed_goes_on(tmp_path, monkeypatch):
    """With what is left, to the same claims; once it has ended it is run again from the beginning."""
    tiny, walked, asked = saturated_saddle.STUDY.sizes["tiny"], plateau_nets.walked, []
    _, found = saturated_saddle.run(tiny, tmp_path)
    (path,) = tmp_path.glob("kept-*.jsonl")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:5]) + lines[5][:9])
    monkeypatch.setattr(plateau_nets, "walked", lambda *given: asked.append(given) or walked(*given))
    _, again = saturated_saddle.run(tiny, tmp_path)
    assert len(asked) == len(lines) - 5 > 0
    assert [repr(claim.to_dict()) for claim in again] == [repr(claim.to_dict()) for claim in found]
    command.run(saturated_saddle.STUDY, "tiny", tmp_path)
    assert not list(tmp_path.glob("kept-*"))
