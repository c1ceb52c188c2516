"""Codes as a classifier that saw no label."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics.functional.clustering import adjusted_rand_score, normalized_mutual_info_score

from genlit.capabilities import Clusters
from genlit.data import Source
from genlit.data.toy import Mixture
from genlit.engine.processes import gather
from genlit.errors import GenlitError
from genlit.metrics.capabilities.conditional import balanced, reader
from genlit.metrics.capabilities.means import blocks, counted, protocol
from genlit.metrics.measure import Measure


class ClusterScores:
    """Cluster accuracy, normalised mutual information and adjusted Rand index of clusters against labels.

    accuracy = max over one-to-one maps m of clusters to labels of P(m(cluster) = label); nmi = I / ½ (H + H′);
    ari = (Rand − E Rand) / (max Rand − E Rand), 0 by chance. Only the integer table of clusters and labels is kept.

    Args:
        clusters: number of clusters.
        labels: number of labels.
    """

    def __init__(self, clusters: int, labels: int):
        self.shape = (clusters, labels)
        self.reset()

    def update(self, clusters: Tensor, labels: Tensor) -> None:
        """Takes in the clusters and the labels of some images, each int64 (B,); every image once over all processes."""
        cells = clusters.cpu() * self.shape[1] + labels.cpu()
        self.table += torch.bincount(cells, minlength=self.table.numel()).view(self.shape)

    def compute(self) -> dict[str, float]:
        """The three scores; all processes must ask.

        Raises:
            GenlitError: there is no image.
        """
        table = sum(gather(self.table))
        if not table.any():
            raise GenlitError("clusters: there is no image to compare with labels")
        clusters, labels = table.nonzero().repeat_interleave(table[table > 0], 0).T  # an order of the table's own
        return {
            "cluster-accuracy": table[linear_sum_assignment(table, maximize=True)].sum().item() / len(labels),
            "nmi": normalized_mutual_info_score(clusters, labels).item(),
            "ari": adjusted_rand_score(clusters, labels).item(),
        }

    def reset(self) -> None:
        """Forgets all images."""
        self.table = torch.zeros(self.shape, dtype=torch.int64)


def head_labels(posteriors: Tensor, labels: Tensor) -> Tensor:
    """The label of each cluster i: that of the validation image argmaxₙ q(i|xₙ), int64 (K,).

    A cluster's test images take its label, so several clusters may share one. Makhzani et al. 2015, "Adversarial
    Autoencoders", section 6, https://arxiv.org/abs/1511.05644

    Args:
        posteriors: q(i|xₙ) of the validation images, (N, K).
        labels: theirs, int64 (N,).
    """
    return labels[posteriors.argmax(0)]


def cluster_scores(model: Clusters, source: Source, split: str, seed: int = 0) -> list[Measure]:
    """`ClusterScores` of a split's images by their likeliest category, and the error 1 − accuracy.

    `cluster-accuracy/n2000.test`, `cluster-error/...`, `nmi/...`, `ari/...`; nothing of data without labels, or of a
    model without categories. The map of clusters to labels is found on the images that are scored. The error is that of
    Chen et al. 2016, "InfoGAN", section 7.2, https://arxiv.org/abs/1606.03657

    Args:
        model: finds categories.
        source: of the images.
        split: a split of it.
        seed: of the binarisation, which the name carries.

    Raises:
        GenlitError: there is no such row.
    """
    kinds, labels = categories(model, source), len(source.classes)
    if not kinds or not labels:
        return []
    n, scores = counted(source, split, None), ClusterScores(kinds, labels)
    for batch, _ in blocks(source, split, n, model.device, seed):
        scores.update(model.cluster(batch["image"]).argmax(1), batch["label"])
    values, of = scores.compute(), protocol(source, n, split)
    values["cluster-error"] = 1 - values["cluster-accuracy"]
    return [Measure(f"{name}/{of}", value, n) for name, value in values.items()]


def purity(model: Clusters, source: Mixture, n: int, seed: int = 0) -> list[Measure]:
    """Share of n samples, as many of each category, whose nearest centre is their category's: `purity/ring8.n10000`.

    A category's centre is the one that most of its samples are nearest to; `centres` in the details says how many
    different ones there are, for a generator that makes one point alone is pure, too.

    Args:
        model: finds categories and has "category" among its traversals.
        source: the mixture that it learned.
        n: number of samples.
        seed: theirs.
    """
    name, logits = reader(source)
    kinds, centres = categories(model, source), len(source.centres)
    table = torch.zeros(kinds, centres, dtype=torch.int64)
    for points, category in balanced(model, "category", kinds, n, seed):
        nearest = logits(points).argmax(1)
        table += torch.bincount(category * centres + nearest, minlength=table.numel()).view_as(table)
    table = sum(gather(table))
    (most, centre), asked = table.max(1), int(table.sum())
    reached = {"centres": len(centre.unique())}
    return [Measure(f"purity/{name}.n{asked}", most.sum().item() / asked, asked, reached)]


def categories(model: Clusters, source: Source) -> int:
    """How many categories a model tells apart."""
    return model.cluster(source.first(1, model.device)["image"]).shape[1]
