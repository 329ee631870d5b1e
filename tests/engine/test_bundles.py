"""Packs that travel together to a worker and back."""

import pickle

import pytest

from configs import shallow
from experiments.engine import bundles, results, space
from training.records import METRICS


def tables(rates, probe="speed/output"):
    """A table a rate, with a probe and a time of its own."""
    made = []
    for rate in rates:
        trials = space.make_trials(shallow.get_config(), None, {"learning_rate": [rate], "seed": [0, 1]})
        row = dict.fromkeys(METRICS, rate) | {"epoch": 1, "diverged": False, probe: 2 * rate}
        table = results.pack_table(trials, [row | {"trial": name} for name in trials])
        made.append(results.with_times(table, results.Times(rate, (rate + 1.0,))))
    return made


def test_what_comes_back_is_written_as_if_it_had_come_alone():
    """Files of the same bytes, each with its own times; other columns are a table of their own."""
    sent = [*tables([0.1, 0.2]), *tables([0.3], "phi/hidden_0"), *tables([0.4])]
    answer = pickle.loads(pickle.dumps(bundles.Answer(bundles.rows_of(sent), [{}] * 4, 0.1)))
    assert [len(rows.parts) for rows in answer.rows] == [2, 1, 1]
    came = bundles.tables_of(answer)
    assert [results.as_bytes(table) for table in came] == [results.as_bytes(table) for table in sent]
    assert [results.times_of(table) for table in came] == [results.Times(x, (x + 1.0,)) for x in (0.1, 0.2, 0.3, 0.4)]
    empty = results.LEADING.empty_table()
    assert bundles.tables_of(bundles.Answer(bundles.rows_of([empty, empty]), [{}] * 2, 0.0)) == [empty, empty]


def test_a_worker_gives_back_what_it_has_no_time_for(monkeypatch):
    """Of five packs of a second each the first one; of five that take no time all."""
    now = iter(range(100))
    made = dict(enumerate(tables([0.1, 0.2, 0.3, 0.4, 0.5])))
    monkeypatch.setattr(bundles.time, "perf_counter", lambda: next(now))
    answer = bundles.worked(bundles.packed(list(made)), lambda parcel: (made[parcel], parcel))
    assert answer.states == [0] and bundles.tables_of(answer) == [made[0]]
    monkeypatch.setattr(bundles.time, "perf_counter", lambda: 0.0)
    answer = bundles.worked(bundles.packed(list(made)), lambda parcel: (made[parcel], parcel))
    assert answer.states == [0, 1, 2, 3, 4] and bundles.tables_of(answer) == list(made.values())


def test_what_fails_is_raised_once_it_is_the_first():
    """Those before it come back first."""
    made = tables([0.1, 0.2])

    def work(parcel):
        if parcel == 2:
            raise ValueError("no memory")
        return made[parcel], parcel

    assert bundles.worked(bundles.packed([0, 1, 2]), work).states == [0, 1]
    with pytest.raises(ValueError, match="no memory"):
        bundles.worked(bundles.packed([2]), work)


def test_bundles_grow_while_their_packs_are_short():
    """Twice as many each time up to the most, no more than there are for all tasks; one alone where packs are long."""
    size, handed = bundles.Size(), []
    for _ in range(9):
        handed.append(size.of_next(10_000, 4))
        size.learn(handed[-1], bundles.Answer([], [{}] * handed[-1], 0.01))
    assert handed == [1, 2, 4, 8, 16, 32, 64, 64, 64]
    assert size.of_next(40, 4) == 10 and size.of_next(3, 4) == 1
    size.learn(64, bundles.Answer([], [{}], 2.0))
    assert size.of_next(10_000, 4) == 1
    size.learn(1, bundles.Answer([], [{}], 2.0))
    assert size.of_next(10_000, 4) == 1


def test_a_bundle_is_of_one_kind():
    """Those from the end that have the same key."""
    waiting = [5, 4, 3, 12, 11]
    assert bundles.next_bundle(waiting, 9, lambda pack: pack > 9) == [11, 12] and waiting == [5, 4, 3]
    assert bundles.next_bundle(waiting, 2, lambda pack: pack > 9) == [3, 4] and waiting == [5]
    asked, waiting = [], [1] * 9
    assert bundles.next_bundle(waiting, 5, lambda pack: asked.append(pack)) == [1] * 5
    assert len(asked) == 5, "once a pack"
    assert bundles.next_bundle(waiting, 1, lambda pack: asked.append(pack)) == [1] and len(asked) == 5
