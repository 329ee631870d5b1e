"""plan.json is believed only where it is what the command writes."""

import copy
import json
import random
import shutil
from pathlib import Path

import pytest

from experiments.engine import plan_file, results
from experiments.engine.plan_file import SweepError

OLD = Path(__file__).parent.parent / "data" / "sweep_37428e6_probes"
CONTENT = json.loads((OLD / "plan.json").read_text())


def read(folder, content):
    """What is read of that content as plan.json."""
    (folder / "plan.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return plan_file.read_plan(folder)


def changed(*path, to):
    """The content with one entry changed, at that path."""
    content = copy.deepcopy(CONTENT)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return content


def test_a_plan_is_read_as_it_was_written(tmp_path):
    """Also one of the first version, which has no digest."""
    old = read(tmp_path, CONTENT)
    assert not old.is_digested and old.packs[0].optional == () and old.packs[0].shape == (1, 2)
    assert old.base.hidden == (8,) and old.swept == ("learning_rate", "seed")
    plan_file.write_plan(old, tmp_path / "plan.json")
    assert plan_file.read_plan(tmp_path) == old._replace(is_digested=True)
    assert read(tmp_path, changed("packs", 0, "has_momentum", to=True)).packs[0].optional == ("momentum",)


def test_numbers_that_came_later_are_named_where_a_pack_takes_them(tmp_path):
    """Other entries are as they were, so that plans without them are those of before."""
    pack = read(tmp_path, CONTENT).packs[0]
    assert pack.to_json().keys() == {"name", "shape", "rows", "has_momentum"}
    scheduled = pack._replace(optional=("momentum", "warmup", "end_share"))
    entry = json.loads(json.dumps(scheduled.to_json()))
    assert entry["has_warmup"] and "has_beta1" not in entry and plan_file.pack_of(entry) == scheduled


@pytest.mark.parametrize(
    "content",
    [
        changed("packs", 0, "name", to="../../../../tmp/evil0"),
        changed("packs", 0, "name", to="3B7341B00256E7BB"),
        changed("packs", 0, "name", to=CONTENT["packs"][1]["name"]),
        changed("packs", 0, "rows", 0, 0, 0, to="../evil"),
        changed("packs", 0, "rows", 0, 0, 0, to=CONTENT["packs"][0]["rows"][0][1][0]),
        changed("packs", 0, "rows", 0, 0, 1, to=0),
        changed("packs", 0, "rows", 0, 0, 1, to=True),
        changed("packs", 0, "rows", 0, 0, 1, to=10**12),
        changed("packs", 0, "rows", 0, to=[]),
        changed("packs", 0, "rows", to={}),
        changed("packs", 0, "shape", to=[1, 10**9]),
        changed("packs", 0, "shape", to=[0, 2]),
        changed("packs", 0, "shape", to=[1.0, 2]),
        changed("packs", 0, "shape", to=[1, 1]),
        changed("packs", 0, "shape", to=[1, 2, 3]),
        changed("packs", 0, "has_momentum", to="no"),
        changed("packs", 0, "has_more", to=True),
        changed("packs", to="none"),
        changed("starts", 0, "versions", to={"jax": 1}),
        changed("starts", 0, to=[]),
        changed("swept", to=[1]),
        changed("base", to=[]),
        changed("base", "hidden", to=[-8]),
        changed("base", "hiden", to=[8]),
        changed("made_for", to=None),
        changed("more", to=1),
        [],
        '{"base": ',
        "[" * 100_000,
        "9" * 5_000,
    ],
)
def test_anything_else_is_one_line(tmp_path, content):
    """Names that lead out of the folder, sizes that no machine has, other types, another form."""
    with pytest.raises(SweepError, match=r"plan\.json is damaged") as caught:
        read(tmp_path, content)
    assert "\n" not in str(caught.value) and len(str(caught.value)) <= 300
    assert "accepted: a plan.json written by this command" in str(caught.value)


def test_one_changed_byte_of_a_sweep_is_noticed(tmp_path):
    """In plan.json and in a pack, wherever it is: refused, or nothing has changed."""
    plan_file.write_plan(read(tmp_path, CONTENT), tmp_path / "plan.json")
    recorded = plan_file.read_plan(tmp_path)
    pack = shutil.copy(next((OLD / "packs").iterdir()), tmp_path / "pack.parquet")
    table = results.read_table(Path(pack))
    results.write_table(table, Path(pack))
    draw = random.Random(0)
    for path, read_again, same, error in (
        (
            tmp_path / "plan.json",
            lambda: plan_file.read_plan(tmp_path),
            recorded._replace(is_digested=True),
            SweepError,
        ),
        (Path(pack), lambda: results.read_table(Path(pack)), table, results.DamagedError),
    ):
        whole, noticed = path.read_bytes(), 0
        for place in draw.sample(range(len(whole)), 300):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ draw.randrange(1, 256)]) + whole[place + 1 :])
            try:
                assert read_again() == same
            except error:
                noticed += 1
        assert noticed > 290
