"""The table that is committed is that of the records that are."""

from pathlib import Path

from genlit.ledger import page

ROOT = Path(__file__).parents[2] / "experiments"


def test_the_table_is_that_of_the_records():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    written = text.partition(page.BEGIN)[2].partition(page.END)[0].strip()
    assert written == page.table(ROOT / "records"), "run `make ledger`"


def test_a_mean_has_the_spread_of_a_sample():
    assert page.summary([4.32, 3.92, 4.07]) == "4.103 ± 0.2"
    assert page.summary([1.5]) == "1.5"
    assert page.summary([]) == ""
