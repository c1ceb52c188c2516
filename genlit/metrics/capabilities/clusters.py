"""Codes as a classifier that saw no label."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchmetrics.functional.clustering import adjusted_rand_score, normalized_mutual_info_score

from genlit.engine.processes import gather
from genlit.errors import GenlitError


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
