"""A run in parts against `train.py`: the same bits, however it is cut."""

import jax
import numpy as np
import pytest

import train
from experiments.classroom import parts
from training import run_directory
from training.batches import on_data
from training.compiling import FAST_TO_RUN, LARGE_PRODUCTS, compiled
from training.config import Config
from training.metrics import of_part

SYNTHETIC = Config().replace(dataset="synthetic", batch_size=100, learning_rate=0.5, epochs=3)


def rows_in_parts(run, lane, epochs, draw):
    """The rows of a lane, from parts of random lengths."""
    found = []
    while run.epoch < epochs:
        run.advance(int(draw.integers(1, 9)))
        if run.is_over():
            found.append({name: train.as_number(values[lane]) for name, values in run.row().items()})
    return found


def test_same_bits_with_all_that_changes_a_step():
    """Dropout, batch normalization, Adam, a last batch that is padded: the metrics and weights of `Train.epoch`."""
    config = SYNTHETIC.replace(optimizer="adam", batch_norm=True, dropout=0.2, batch_size=37)
    functions, state, (dataset, data) = train.make_train(config), train.initial_state(config), parts.data_of(config)
    numbers, key = train.hyperparameters(config, len(dataset.images)), train.run_keys(config.seed)[1]
    epoch = compiled(on_data(functions.epoch), state, numbers, data, key, cpu_options=FAST_TO_RUN)
    evaluate = compiled(functions.evaluate, state, *data.validation, cpu_options=LARGE_PRODUCTS)
    rows = []
    for number in (1, 2, 3):
        state, metrics = epoch(state, numbers, data, jax.random.fold_in(key, number))
        rows.append(metrics | of_part("val", evaluate(state, *data.validation)))
    run = parts.Run([config])
    found = rows_in_parts(run, 0, 3, np.random.default_rng(0))
    assert found == [{name: train.as_number(row[name]) for name in found[0]} for row in rows]
    jax.tree.map(np.testing.assert_array_equal, run.lane(0), state)


def test_two_settings_have_the_same_start_and_order():
    """Lanes of one program: each is its run alone but for rounding."""
    configs = [SYNTHETIC, SYNTHETIC.replace(learning_rate=2.0)]
    both = parts.Run(configs)
    start = [jax.device_get(both.lane(i).params) for i in range(2)]
    jax.tree.map(np.testing.assert_array_equal, *start)
    for lane, config in enumerate(configs):
        alone = rows_in_parts(parts.Run([config]), 0, 1, np.random.default_rng(1))
        run = parts.Run(configs)
        together = rows_in_parts(run, lane, 1, np.random.default_rng(2))
        assert together[0] == pytest.approx(alone[0], rel=1e-4)
    assert not np.allclose(both.kernels()[0], run.kernels()[0])


def test_weights_of_inputs_that_are_always_zero_decay_where_one_lane_decays():
    """Of one structure are runs with and without decay, alone and side by side: each as alone."""
    plain = SYNTHETIC.replace(dataset="mnist", train_examples=300, validation="100", hidden=(3,))
    decaying = plain.replace(l2=0.2)
    dead = np.flatnonzero(~np.asarray(parts.data_of(plain)[0].images).any(axis=0))
    assert len(dead) > 67
    ends = {}
    for configs in ([plain], [decaying], [plain, decaying]):
        run = parts.Run(configs)
        start = run.kernels()[0][dead]
        while not run.is_over():
            run.advance(1)
        for lane, config in enumerate(configs):
            ends.setdefault(config, []).append(run.kernels()[lane][dead])
    np.testing.assert_allclose(ends[plain][0], start, rtol=1e-6)
    shrunk = (1 - 0.5 * 0.2) ** 3
    np.testing.assert_allclose(ends[decaying][0], shrunk * start, rtol=1e-5)
    for alone, together in ends.values():
        np.testing.assert_allclose(together, alone, rtol=1e-5)


def test_same_bits_as_train(tmp_path):
    """After three epochs the rows that train.py records, to the last bit, and its probes."""
    dataset, _ = parts.data_of(SYNTHETIC)
    with run_directory.RunDirectory(tmp_path / "run", SYNTHETIC, None) as recorded:
        train.fit(SYNTHETIC, dataset, recorded, train.initial_state(SYNTHETIC))
        rows = recorded.rows
    run = parts.Run([SYNTHETIC])
    found = rows_in_parts(run, 0, 3, np.random.default_rng(0))
    assert found == [{name: row[name] for name in found[0]} for row in rows]
    measured, outputs = run.probed()
    for name, values in measured.items():
        if np.ndim(values) == 1:
            assert float(values[0]) == pytest.approx(rows[-1][name], rel=1e-4, abs=1e-7), name
    assert outputs["hidden_0"].shape[0] == 1 and outputs["hidden_0"].shape[2] == 64


def test_largest_eigenvalue():
    """Of a linear net with the quadratic cost over C outputs it is 2 / C times that of the mean of x x', x with a 1."""
    config = SYNTHETIC.replace(hidden=(), output="identity")
    run = parts.Run([config])
    x_PxD = np.asarray(run.data.probed[0], np.float64) / 255
    x_PxD = np.append(x_PxD, np.ones((len(x_PxD), 1)), axis=1)
    expected = 2 / config.classes * np.linalg.eigvalsh(x_PxD.T @ x_PxD / len(x_PxD))[-1]
    assert float(run.curvature()[parts.CURVATURE[0]][0]) == pytest.approx(expected, rel=1e-3)
