"""Running means."""

import pytest
import torch

from genlit.engine.logbook import Logbook


def test_means_are_weighted_and_flushed_once():
    book = Logbook()
    book.add("loss", torch.tensor(1.0), 3)
    book.add("loss", 5.0, 1)
    book.add("other", torch.tensor(2.0, requires_grad=True))
    assert book.flush() == {"loss": 2.0, "other": 2.0}
    assert book.flush() == {}


def test_sums_are_double():
    book = Logbook()
    for _ in range(20000):
        book.add("x", torch.tensor(3.14459, dtype=torch.float32))
    assert book.flush()["x"] == pytest.approx(torch.tensor(3.14459).item(), abs=1e-12)


def test_a_restored_book_flushes_the_same():
    book, copy = Logbook(), Logbook()
    book.add("a", 1.5)
    copy.load_state_dict(book.state_dict())
    for each in (book, copy):
        each.add("a", 2.5)
    assert book.flush() == copy.flush() == {"a": 2.0}
