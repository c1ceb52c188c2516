"""Faults on purpose: what genlit promises to survive or to refuse, each shown by a real fault in a real training."""

from genlit.faults.harness.base import Broken, Fault, NotShown

__all__ = ["Broken", "Fault", "NotShown"]
