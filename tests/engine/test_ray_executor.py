"""The driver of a sweep on Ray, without Ray: what it hands out, what it takes, and what it keeps when a task fails."""

import os
import pickle
import signal
from types import SimpleNamespace

import pytest

from configs import shallow
from experiments.engine import lanes, plan, ray_executor, results, space
from training import console


class RayError(Exception):
    """What Ray raises of a task that was lost."""


class RayTaskError(RayError):
    """What Ray raises of a task that has raised."""


class OneMachine:
    """As much of Ray as the driver asks for: two slots, tasks that end as soon as they are handed out."""

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self):
        self.waits, self.answered, self.handed = 0, 0, set()

    def remote(self, max_retries, **_):
        """Tasks are called with what has been put, and their answers or errors kept."""

        def answer(function, arguments):
            self.handed.add((len(pickle.loads(arguments[0])) > 1, max_retries))
            try:
                return function(*arguments)
            except ValueError as error:
                return RayTaskError(str(error))
            except Killed:
                return RayError("killed")

        # A task is told by an object of its own, as by Ray.
        return lambda function: SimpleNamespace(remote=lambda *given: Task(answer(function, given)))

    def put(self, thing):
        return thing

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": 2.0}}]

    def wait(self, tasks, num_returns, timeout):
        self.waits += 1
        return tasks[:num_returns], tasks[num_returns:]

    def get(self, task):
        if isinstance(task.answer, RayError):
            raise task.answer
        self.answered += len(task.answer.states)
        return task.answer


class Task:
    """A task that has ended."""

    def __init__(self, answer):
        self.answer = answer


def work(pack, trials, dataset, cpus, begun, is_kept):
    """A row a trial with the time of the pack; what has begun, and the data set, come as they were given."""
    if begun == "fails":
        raise ValueError("no memory")
    assert dataset == "data" and cpus == 1 and begun is None and is_kept
    rows = [
        {"trial": name, "epoch": 1, "diverged": False, "loss": trial.learning_rate} for name, trial in trials.items()
    ]
    return results.with_times(results.pack_table(trials, rows), results.Times(1.0, (2.0,))), {}


@pytest.fixture
def sweep():
    """Five trials in packs of their own, and how they are run, with what has begun of some."""
    base = shallow.get_config()
    trials = space.make_trials(base, None, {"learning_rate": [0.1, 0.2, 0.3, 0.4, 0.5]})
    packs = plan.make_packs(trials, plan.Machines(1, 2, "cpu", 1e9), lambda _: 100, most_lanes=1)
    datasets = {lanes.data_key(next(iter(trials.values()))): "data"}

    def run(ray, begun):
        done = []
        begin, keep = lambda pack: begun.get(packs.index(pack)), lambda pack, table, states: done.append(pack)
        for pack, table in ray_executor.run_on_ray(
            ray, packs, trials, datasets, lambda _: None, 1, 0.0, begin, keep, work=work
        ):
            assert done[-1] is pack
            yield pack, table

    return trials, packs, run


def test_packs_come_back_whole(sweep):
    """Each once, in order, with its rows and the time that it took; those that have ended are taken together."""
    trials, packs, run = sweep
    ray = OneMachine()
    ended = list(run(ray, {}))
    assert [pack for pack, _ in ended] == packs
    for pack, table in ended:
        (name,) = pack.trials
        assert table["trial"].to_pylist() == [name] and table["loss"].to_pylist() == [trials[name].learning_rate]
        assert results.times_of(table) == results.Times(1.0, (2.0,))
    assert ray.waits == 4, "four packs at the first two waits, one at the next two"


def test_what_ended_before_a_failure_is_kept(sweep):
    """The packs before the one that failed are yielded, then one line says which one it was and why."""
    _, packs, run = sweep
    ended = run(OneMachine(), {2: "fails"})
    assert [next(ended)[0] for _ in range(2)] == packs[:2]
    with pytest.raises(ray_executor.ExecutorError, match=f"pack {packs[2].name} failed on the Ray cluster: no memory"):
        next(ended)


def short(pack, trials, dataset, cpus, begun, is_kept):
    """A pack that takes no time; what a rate of .4 asks for fails."""
    if any(trial.learning_rate == 0.4 for trial in trials.values()):
        raise ValueError("no memory")
    rows = [{"trial": name, "epoch": 1, "diverged": False, "loss": t.learning_rate} for name, t in trials.items()]
    return results.pack_table(trials, rows), {}


@pytest.mark.parametrize("fails", [False, True])
def test_short_packs_travel_together(fails):
    """Each comes back once, in order, with its own rows, in fewer tasks than packs; all before one that fails."""
    rates = [0.001 * i for i in range(1, 101)]
    if fails:
        rates[70] = 0.4
    trials = space.make_trials(shallow.get_config(), None, {"learning_rate": rates})
    packs = plan.make_packs(trials, plan.Machines(1, 2, "cpu", 1e9), lambda _: 100, most_lanes=1)
    datasets, ray, came = {lanes.data_key(next(iter(trials.values()))): "data"}, OneMachine(), []
    ended = ray_executor.run_on_ray(ray, packs, trials, datasets, lambda _: None, 1, 0.0, work=short)
    if fails:
        with pytest.raises(ray_executor.ExecutorError, match=f"pack {packs[70].name} failed .*: no memory"):
            came.extend(ended)
        assert {pack for pack, _ in came} >= set(packs[:70]) and packs[70] not in [pack for pack, _ in came]
    else:
        came.extend(ended)
        assert [pack for pack, _ in came] == packs
    for pack, table in came:
        assert table["loss"].to_pylist() == [trials[pack.trials[0]].learning_rate]
    assert ray.waits < 30, "a task a pack takes 50"


def lost(pack, trials, dataset, cpus, begun, is_kept):
    """A pack that takes no time; what a rate of .4 asks for kills its worker, which no `except Exception` sees."""
    if any(trial.learning_rate == 0.4 for trial in trials.values()):
        raise Killed
    return short(pack, trials, dataset, cpus, begun, is_kept)


class Killed(BaseException):
    """A worker that ends in the middle of its work."""


def many_packs(ray, rates, work):
    """Packs of one trial each of these rates, and what runs them."""
    trials = space.make_trials(shallow.get_config(), None, {"learning_rate": rates})
    packs = plan.make_packs(trials, plan.Machines(1, 2, "cpu", 1e9), lambda _: 100, most_lanes=1)
    datasets = {lanes.data_key(next(iter(trials.values()))): "data"}
    return packs, ray_executor.run_on_ray(ray, packs, trials, datasets, lambda _: None, 1, 0.0, work=work)


def test_only_the_pack_that_kills_its_worker_fails():
    """The others of its bundle, which has gone with it, are run alone; the error names it."""
    rates = [0.001 * i for i in range(1, 101)]
    rates[50] = 0.4
    ray, came = OneMachine(), []
    packs, ended = many_packs(ray, rates, lost)
    with pytest.raises(ray_executor.ExecutorError, match=f"pack {packs[50].name} failed on the Ray cluster: killed"):
        came.extend(pack for pack, _ in ended)
    assert set(came) >= set(packs[:50]) and packs[50] not in came and len(came) == len(set(came))
    assert ray.handed == {(False, ray_executor.RETRIES), (True, 0)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_has_come_back_is_handed_over_before_an_interruption(number):
    """Where it comes while one of many packs is taken; a second Ctrl-C does not wait."""
    packs, ended = many_packs(ray := OneMachine(), [0.001 * i for i in range(1, 201)], short)
    came = []
    with console.endings(), pytest.raises(KeyboardInterrupt):
        for pack, _ in ended:
            came.append(pack)
            if len(came) == 30:
                os.kill(os.getpid(), number)
    assert came == packs[: len(came)] and 30 < len(came) < 200
    assert len(came) == ray.answered, "all that has come back"
    came.clear()
    _, ended = many_packs(OneMachine(), [0.001 * i for i in range(1, 201)], short)
    with console.endings(), pytest.raises(KeyboardInterrupt):
        for pack, _ in ended:
            came.append(pack)
            if len(came) in (30, 31):  # Who presses Ctrl-C twice does not want to wait.
                os.kill(os.getpid(), signal.SIGINT)
    assert len(came) == 31
