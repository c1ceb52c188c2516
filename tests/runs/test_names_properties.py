"""Whatever a run is called, it lies below the root."""

import re

from hypothesis import given
from hypothesis import strategies as st

from genlit import runs
from genlit.errors import GenlitError

NAMES = st.text(max_size=300) | st.lists(st.sampled_from(["..", "/", "\\", "\0", "\n", "~", "-", ".", "a", " "])).map(
    "".join
)


@given(NAMES)
def test_a_slug_is_a_name_that_stays_as_it_is(name):
    try:
        slug = runs.slug(name)
    except GenlitError:
        assert not re.search(r"[A-Za-z0-9_]", name)
        return
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,79}", slug)
    assert runs.slug(slug) == slug


@given(NAMES.filter(lambda name: re.search(r"[A-Za-z0-9_]", name)))
def test_a_run_folder_lies_below_the_root(tmp_path_factory, name):
    root = tmp_path_factory.getbasetemp() / "root"
    run = runs.create(root, name)
    assert run.resolve().parent.parent == root.resolve()
    assert run in runs.runs(root, name)
