"""A page for people: what runs left in their folders, in one HTML file that needs nothing else."""

from genlit.report.draw import write_page
from genlit.report.gather import Run, found, gather

__all__ = ["Run", "found", "gather", "write_page"]
