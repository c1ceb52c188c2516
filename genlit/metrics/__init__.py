"""Metrics of sets of images and of trained models; their names carry the protocol.

An extractor describes images (`extractors/`), a `Collector` turns a set of them into a `Summary`, and `compare` or the
distances by themselves (`frechet`, `kernel_distance`, `neighbourhoods`) compare two.
"""

from genlit.metrics.distances.frechet import frechet
from genlit.metrics.distances.kernel import kernel_distance
from genlit.metrics.distances.neighbours import authenticity, neighbourhoods
from genlit.metrics.extractors import extractor
from genlit.metrics.fidelity import compare
from genlit.metrics.statistics import Collector, Summary

__all__ = [
    "Collector", "Summary", "authenticity", "compare", "extractor", "frechet", "kernel_distance", "neighbourhoods",
]  # fmt: skip
