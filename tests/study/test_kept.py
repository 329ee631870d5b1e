"""What a study keeps: it goes on where it was, unless its numbers would be made of something else now."""

import math
from concurrent.futures import ThreadPoolExecutor

import pytest

import nets
from experiments.escape import saturated_saddle
from experiments.study import claims, kept, plateau_nets
from experiments.study.kept import Kept, digest_of


def never():
    """What is not to be made again."""
    raise AssertionError("made again")


def test_what_is_kept_is_not_made_again(tmp_path):
    """By key, from many threads, infinities as well; of something else all is made anew."""
    path = tmp_path / "found.jsonl"
    with Kept(path, "this") as first, ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: first(str(i), lambda: [i, math.inf]), range(50)))
        assert first("7", never) == [7.0, math.inf]
    with Kept(path, "this") as again:
        assert [again(str(i), never) for i in range(50)] == [[i, math.inf] for i in range(50)]
        assert again("50", lambda: [1]) == [1.0]
    with Kept(path, "that") as other:
        assert other("7", lambda: [8]) == [8.0]
    with Kept(path, "this") as again, pytest.raises(AssertionError):
        again("7", never)


def test_from_a_damaged_line_on_it_is_made_anew(tmp_path):
    """What stands before it is sound."""
    path = tmp_path / "found.jsonl"
    with Kept(path, "this") as first:
        for i in range(4):
            first(str(i), lambda i=i: [i])
    path.write_bytes(path.read_bytes().replace(b"[2.0]", b"[9.0]"))
    with Kept(path, "this") as again:
        assert again("1", never) == [1.0] and again("2", lambda: [5]) == [5.0] and again("3", lambda: [6]) == [6.0]


def test_digest_is_of_text_and_sizes(monkeypatch):
    """Of another text, another size or another compiler it is another."""
    one = digest_of((plateau_nets, nets.saddle), 500, 50)
    assert one == digest_of((plateau_nets, nets.saddle), 500, 50)
    others = {digest_of((plateau_nets,), 500, 50), digest_of((plateau_nets, nets.saddle), 500, 51)}
    monkeypatch.setattr(kept.jaxlib.version, "__version__", "0.0")
    assert one not in others | {digest_of((plateau_nets, nets.saddle), 500, 50)}


def test_study_goes_on_from_its_folder(tmp_path, monkeypatch):
    """To the same claims, with nothing trained again."""
    size = saturated_saddle.STUDY.sizes["tiny"]
    _, found = saturated_saddle.run(size, tmp_path)
    monkeypatch.setattr(plateau_nets, "walked", lambda *_: never())
    _, again = saturated_saddle.run(size, tmp_path)
    texts = [[repr(claim.to_dict()) for claim in each] for each in (found, again)]
    assert texts[0] == texts[1] and claims.by_key(again)
    with pytest.raises(AssertionError):
        saturated_saddle.run(size._replace(seeds_from=7), tmp_path)
