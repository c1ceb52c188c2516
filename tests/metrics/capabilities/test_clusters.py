"""Clusters against labels, where the scores are known."""

import math

import numpy as np
import pytest
import torch

from genlit.data import Npz, Ring
from genlit.errors import GenlitError
from genlit.metrics.capabilities.clusters import ClusterScores, cluster_scores, head_labels, purity


def scores(clusters, labels, shape):
    metric = ClusterScores(*shape)
    metric.update(torch.tensor(clusters), torch.tensor(labels))
    return metric.compute()


def test_names_of_clusters_do_not_matter():
    values = scores([2, 2, 0, 0, 1, 1], [0, 0, 1, 1, 2, 2], (3, 3))
    assert values == pytest.approx({"cluster-accuracy": 1, "nmi": 1, "ari": 1})


def test_scores_of_a_table_worked_out_by_hand():
    """Clusters of labels {a, a, b} and {b}: the table [[2, 1], [0, 1]]."""
    values = scores([0, 0, 0, 1], [0, 0, 1, 1], (2, 2))
    information = 2 / 4 * math.log(4 / 3) + 1 / 4 * math.log(2 / 3) + 1 / 4 * math.log(2)
    entropies = -(3 / 4 * math.log(3 / 4) + 1 / 4 * math.log(1 / 4)), math.log(2)
    assert values["cluster-accuracy"] == 0.75
    assert values["nmi"] == pytest.approx(2 * information / sum(entropies), rel=1e-5)
    expected = 2 * 3 / 6  # pairs together in both by chance: 2 of the labels, 3 of the clusters, 6 in all
    assert values["ari"] == pytest.approx((1 - expected) / ((2 + 3) / 2 - expected), abs=1e-6)


def test_one_label_per_cluster_and_one_cluster_per_label():
    """The largest label of each cluster would give 1 for a cluster per image."""
    values = scores([0, 1, 2, 3], [0, 0, 1, 1], (4, 2))
    assert values["cluster-accuracy"] == 0.5


def test_order_and_batches_change_no_bit():
    labels = torch.randint(10, (5000,), generator=torch.Generator().manual_seed(0))
    clusters = torch.where(torch.rand(5000) < 0.7, labels, torch.randint(16, (5000,)))
    whole, parts = ClusterScores(16, 10), ClusterScores(16, 10)
    whole.update(clusters, labels)
    for rows in torch.randperm(5000).split(321):
        parts.update(clusters[rows], labels[rows])
    assert whole.compute() == parts.compute()


def test_chance_scores_nothing_after_adjustment():
    generator = torch.Generator().manual_seed(0)
    labels, clusters = torch.randint(5, (2, 20_000), generator=generator).tolist()
    values = scores(clusters, labels, (5, 5))
    assert values["ari"] == pytest.approx(0, abs=1e-3)
    assert values["nmi"] == pytest.approx(0, abs=1e-3)


def test_no_image_is_no_score():
    with pytest.raises(GenlitError, match="no image"):
        ClusterScores(2, 2).compute()


def test_a_clusters_head_names_it():
    posteriors = torch.tensor([[0.9, 0.1, 0.0], [0.6, 0.4, 0.0], [0.1, 0.2, 0.7], [0.5, 0.3, 0.2]])
    assert head_labels(posteriors, torch.tensor([7, 8, 9, 7])).tolist() == [7, 8, 9]


class Angles:
    """Clusters points by their angle, in the order 3, 4, ..., and draws a category's centre, or its opposite at times.

    Args:
        kinds: number of categories.
        opposite: of every so many samples one lies opposite.
    """

    device = torch.device("cpu")

    def __init__(self, kinds=8, opposite=5):
        self.kinds, self.opposite = kinds, opposite

    def cluster(self, images):
        nearest = torch.cdist(images.flatten(1), Ring().centres).argmin(1)
        return torch.nn.functional.one_hot((nearest + 3) % 8, max(8, self.kinds)).float()[:, : self.kinds]

    def sample(self, n, *, seed=0, start=0, batch_size=64, category=None):
        wrong = torch.arange(start, start + n) % self.opposite == 0
        centre = Ring().centres[category % 8].expand(n, 2)
        return torch.where(wrong[:, None], -centre, centre)[:, :, None, None]


def test_a_models_categories_are_scored_on_a_split():
    rows = {row.name: row.value for row in cluster_scores(Angles(), Ring(), "test")}
    perfect = {"cluster-accuracy": 1, "nmi": 1, "ari": 1, "cluster-error": 0}
    assert rows == pytest.approx({f"{name}/n10000.test": value for name, value in perfect.items()})


def test_nothing_without_labels_or_categories(tmp_path):
    np.savez(tmp_path / "data.npz", **{f"{split}_images": np.zeros((4, 8, 8), np.uint8) for split in ("train", "test")})
    model = Angles()
    model.cluster = lambda images: torch.ones(len(images), 2)
    assert cluster_scores(model, Npz(str(tmp_path / "data.npz"), holdout=0.25), "test") == []
    assert cluster_scores(Angles(kinds=0), Ring(), "test") == []


@pytest.mark.parametrize(("kinds", "centres"), [(8, 8), (4, 4), (10, 8)])
def test_purity_is_the_share_at_a_categorys_own_centre(kinds, centres):
    (row,) = purity(Angles(kinds), Ring(), 1000)
    assert (row.name, row.n, row.details) == ("purity/ring8.n1000", 1000, {"centres": centres})
    assert row.value == pytest.approx(0.8)
