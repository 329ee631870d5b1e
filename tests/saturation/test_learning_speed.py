"""The course of learning speed against Nielsen's own update by hand, and its claims on courses that are known."""

import json

import jax
import numpy as np
import pytest

import input_pipeline
import train
from experiments.saturation import learning_speed
from experiments.study import command


def sigmoid(z):
    """In numpy's float64."""
    return 1 / (1 + np.exp(-z))


def deltas(params, x_BxD, targets_BxC):
    """Outputs of the layers before each layer, and delta = dC/dz of each, for one hidden layer and cross-entropy."""
    (w1, b1), (w2, b2) = params
    hidden_BxH = sigmoid(x_BxD @ w1 + b1)
    output_BxC = sigmoid(hidden_BxH @ w2 + b2) - targets_BxC
    return (x_BxD, hidden_BxH), ((output_BxC @ w2.T) * hidden_BxH * (1 - hidden_BxH), output_BxC)


def test_study_at_its_tiny_size(tmp_path):
    """Two hidden layers, nine claims: numbers of the book and directions; of two seeds no median is known."""
    command.run(learning_speed.STUDY, "tiny", tmp_path)
    claims = {claim["key"]: claim for claim in json.loads((tmp_path / "results.json").read_text())}
    assert len(claims) == 9 and list(claims)[:3] == ["2/start/layer1", "2/start/layer2", "2/start/rises"]
    kinds = {key: claim["kind"] for key, claim in claims.items()}
    assert {key for key, kind in kinds.items() if kind == "direction"} == {
        "2/start/rises",
        "2/course/slower",
        "2/course/falls",
    }
    assert all(bool(claim["exploratory"]) == ("course" in key) for key, claim in claims.items())
    assert all(claims[key]["verdict"] == "undecided" for key in ("2/course/slower", "2/course/falls"))
    assert (tmp_path / "figure.png").stat().st_size > 10_000


def test_course_is_that_of_nielsens_update():
    """w <- (1 - eta lambda / n) w - eta / n sum dC/dw, b <- b - eta / n sum dC/db; then |mean delta|."""
    size = learning_speed.Size((1,), 1, course_seeds=1, epochs=6, images=40, units=6, decay=20.0, probe_every=2)
    dataset = input_pipeline.split(input_pipeline.load("synthetic"), 40, "10")
    config = learning_speed.course_config(1, size)
    start = jax.device_get(train.initial_state(config).params)
    params = [[np.float64(start[name][leaf]) for leaf in ("kernel", "bias")] for name in ("hidden_0", "output")]
    x_BxD, targets_BxC = dataset.images / 255, np.eye(10)[dataset.labels]
    speeds = []
    for _ in range(6):
        inputs, errors = deltas(params, x_BxD, targets_BxC)
        params = [
            [(1 - 0.1 * 20 / 40) * w - 0.1 / 40 * a.T @ delta, b - 0.1 / 40 * delta.sum(axis=0)]
            for (w, b), a, delta in zip(params, inputs, errors, strict=True)
        ]
        speeds.append(np.linalg.norm(deltas(params, x_BxD, targets_BxC)[1][0].mean(axis=0)))
    measured_SxExL = learning_speed.course(1, size, dataset)
    assert measured_SxExL.shape == (1, 3, 1)
    np.testing.assert_allclose(measured_SxExL[0, :, 0], speeds[1::2], rtol=1e-4)


def known_course(seeds=8):
    """Three hidden layers as in the book, from ten times their speed at the end; seeds from .8 to 1.2 times that."""
    end = np.array(learning_speed.PUBLISHED_COURSE[3][499])
    course_ExL = np.geomspace(10 * end, end, 100)
    course_ExL[3] = learning_speed.PUBLISHED_COURSE[3][20]
    return np.linspace(0.8, 1.2, seeds)[:, None, None] * course_ExL


def verdicts(speed_SxExL):
    """The verdict on each claim by the end of its key."""
    claims = learning_speed.course_claims(speed_SxExL)
    assert len(claims) == 6
    return {claim.key.removeprefix("3/course/"): claim.verdict for claim in claims}


def test_claims_hold_for_the_books_course():
    """All but the share of seeds, of which eight say too little; and there is nothing to explain."""
    found = verdicts(known_course())
    assert found.pop("falls") == "undecided" and set(found.values()) == {"reproduced"}
    claims = learning_speed.course_claims(known_course())
    assert not any(claim.note for claim in claims)
    assert all(bool(claim.exploratory) == (claim.kind == "number") for claim in claims)
    assert verdicts(known_course(100))["falls"] == "reproduced"


def test_more_seeds_are_trained_for_the_early_epochs(tmp_path):
    """After 20 epochs it is theirs that count; no other line changes."""
    before = learning_speed.course_claims(known_course())
    claims = learning_speed.course_claims(known_course(), 5, known_course(30)[:, :4] * 2.1)
    changed = {claim.key: claim for claim in claims if claim not in before}
    assert set(changed) == {"3/course/epoch20/layer1", "3/course/epoch20/layer3"} and len(claims) == len(before)
    assert all((claim.count, claim.verdict) == (30, "not reproduced") for claim in changed.values())
    found = {claim.key: claim for claim in learning_speed.run(learning_speed.TINY._replace(early_seeds=3), tmp_path)[1]}
    counts = [found[f"2/course/{place}/layer1"].count for place in ("epoch20", "end")]
    assert counts == [3, 2]


@pytest.mark.parametrize(
    ("rows", "layer", "factor", "missed"),
    [
        (slice(50, 61), 0, 1000.0, "slower"),
        (-1, 1, 20.0, "falls"),
        (3, 0, 2.1, "epoch20/layer1"),
        (3, 2, 1 / 2.1, "epoch20/layer3"),
        (-1, 0, 1 / 2.1, "end/layer1"),
        (-1, 2, 2.1, "end/layer3"),
    ],
)
def test_each_claim_can_miss(rows, layer, factor, missed):
    """What lies outside its band in all seeds is that claim's miss; one of eight leaves it undecided, and a draw in
    their range."""
    speed_SxExL = known_course()
    speed_SxExL[:, rows, layer] *= factor
    assert [name for name, verdict in verdicts(speed_SxExL).items() if verdict == "not reproduced"] == [missed]
    speed_SxExL[1:] = known_course()[1:]
    assert verdicts(speed_SxExL)[missed] == ("undecided" if missed in ("slower", "falls") else "reproduced")


def test_a_first_layer_that_overtakes_is_explained():
    """By how many seeds and when: rows 10 to 14 are epochs 55 to 75."""
    speed_SxExL = known_course(5)
    speed_SxExL[0, 10:15, 0] = 1.0
    claim = learning_speed.course_claims(speed_SxExL)[0]
    assert claim.measured == 1 and "1 of 5 seeds" in claim.note and "between epochs 55 and 75" in claim.note


def test_claims_before_training():
    """The book's draw inside the seeds' range and far from it; sixty seeds that rise are too few for 95 %."""
    published = np.array(learning_speed.PUBLISHED[3])
    speed_SxL = published * np.geomspace(0.7, 1.5, 60)[:, None]
    verdicts = lambda speed_SxL: [  # noqa: E731
        claim.verdict for claim in learning_speed.start_claims(speed_SxL, tuple(published))
    ]
    assert verdicts(speed_SxL) == ["reproduced"] * 3 + ["undecided"]
    assert verdicts(np.tile(speed_SxL, (2, 1)))[3] == "reproduced"
    assert verdicts(speed_SxL * 4) == ["not reproduced"] * 3 + ["undecided"]
    assert verdicts(speed_SxL[:, ::-1])[3] == "not reproduced"


def test_only_the_picture_of_mnist_shows_what_was_printed():
    """The book's points in both rows."""
    starts, courses = {2: np.full((3, 2), 0.1)}, {2: np.full((3, 4, 2), 0.1)}
    for is_mnist in (True, False):
        for axis in learning_speed.draw(starts, courses, 5, is_mnist).axes:
            assert ("Nielsen, chapter 5" in axis.get_legend_handles_labels()[1]) == is_mnist
