"""Tables of last scores, made up."""

import numpy as np

from experiments.engine.finals import Finals


def finals_of_table(fields, settings, values_CxS, score="val_accuracy", diverged=None, broken=None):
    """The last scores of a sweep with these values, after ten epochs; what is not said is sound."""
    values_CxS = np.asarray(values_CxS, float)
    none = np.zeros(values_CxS.shape, bool)
    return Finals(
        score=score,
        fields=tuple(fields),
        settings=tuple(settings),
        seeds=tuple(range(values_CxS.shape[1])),
        values_CxS=values_CxS,
        tests_CxS=np.full(values_CxS.shape, np.nan),
        epochs_CxS=np.full(values_CxS.shape, 10),
        diverged_CxS=none if diverged is None else np.asarray(diverged, bool),
        broken_CxS=none if broken is None else np.asarray(broken, bool),
        cut_CxS=none,
        trials_CxS=np.array([[f"{c}-{s}" for s in range(values_CxS.shape[1])] for c in range(len(values_CxS))], object),
    )
