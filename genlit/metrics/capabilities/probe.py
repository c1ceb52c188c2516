"""What codes know of labels that their model never saw: the accuracy of a linear classifier on them."""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genlit.capabilities import Encodes
from genlit.data import Source
from genlit.metrics.capabilities.codes import codes
from genlit.metrics.capabilities.means import protocol
from genlit.metrics.measure import Measure


def linear_probe(model: Encodes, source: Source, split: str, limit: int = 10_000, *, seed: int = 0) -> list[Measure]:
    """Accuracy of labels predicted linearly from codes: `linear-probe/codes.dynamic.n2000.test`.

    None where fewer than two labels occur, or of the training images that it is fitted to.

    Logistic regression (L2 penalty, C = 1) on the standardised codes of the first training rows, whose number is
    `n_train`, measured on the split's. Alain & Bengio 2017, https://arxiv.org/abs/1610.01644

    Args:
        model: encodes.
        source: of the images.
        split: a split of it.
        limit: at most this many rows of the training and of the split.
        seed: of the binarisation, which names carry.

    Raises:
        GenlitError: there is no such row.
    """
    if len(source.classes) < 2 or split == "train":
        return []
    seen, other = (codes(model, source, each, limit, seed=seed) for each in ("train", split))
    if len(set(seen["label"].tolist())) < 2:
        return []
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(seen["codes"], seen["label"])
    n = len(other["codes"])
    of = protocol(source, n, split, "codes")
    accuracy = float(probe.score(other["codes"], other["label"]))
    return [Measure(f"linear-probe/{of}", accuracy, n, {"n_train": len(seen["codes"])})]
