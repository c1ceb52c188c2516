"""A loss that teaches two encoders which text belongs to which image."""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize


def matching(texts: Tensor, images: Tensor, captions: list[str], temperature: float = 0.1) -> Tensor:
    """−½ E[log p(i|i) + log q(i|i)], p(j|i) ∝ exp(cos(tᵢ, vⱼ) / τ) over images j, q the same over texts; in nats.

    van den Oord et al. 2018, eq. 4, https://arxiv.org/abs/1807.03748, in both directions as in Radford et al. 2021,
    figure 3, https://arxiv.org/abs/2103.00020. Of texts that are equal, another's image is no wrong answer and is left
    out. The wrong answers are the B − 1 others of one call; a model that trains on micro-batches or on several devices
    has only its own micro-batch's.

    Args:
        texts: embeddings t, (B, D).
        images: embeddings v, (B, D).
        captions: the texts, B.
        temperature: τ, above 0.
    """
    scores = normalize(texts) @ normalize(images).T / temperature
    own = torch.arange(len(captions), device=scores.device)
    first = torch.tensor([captions.index(caption) for caption in captions], device=scores.device)
    others = (first[:, None] == first) & (own[:, None] != own)
    scores = scores.masked_fill(others, -torch.inf)
    return (cross_entropy(scores, own) + cross_entropy(scores.T, own)) / 2
