"""Configurations of any content: read back as they were, or refused in one sentence."""

import math

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from genlit import config
from genlit.errors import GenlitError

DCGAN = config.compose("dcgan", [])
RATE = st.floats(1e-9, 1, allow_nan=False)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
VALID = {
    "seed": st.integers(0, 2**63 - 1),
    "cost": WORDS,
    "model.lr": RATE | st.fixed_dictionaries({"critic": RATE, "generator": RATE}),
    "model.betas": st.tuples(RATE, RATE),
    "model.ema": st.none() | st.integers(1, 10**9),
    "data.batch_size": st.integers(1, 512) | st.dictionaries(st.integers(1), st.integers(1, 512)).map(lambda d: d | {0: 8}),
    "trainer.max_steps": st.integers(1, 10**12),
    "run.tags": st.none() | st.lists(WORDS, max_size=3),
    "run.evaluate_share": RATE,
}
NOTHING = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(NOTHING, lambda inner: st.lists(inner) | st.dictionaries(NOTHING, inner), max_leaves=8)
NAMES = ["based_on", "seed", "claim", "cost", "config", *config.SECTIONS]
SHAPED = st.fixed_dictionaries({"based_on": st.just(["dcgan"])}, optional=dict.fromkeys(NAMES[1:], ANYTHING))


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("configurations") / "mine.yaml"


def parsed_or_refused(files, flags=()):
    """Parses, or fails in one sentence of printable words."""
    try:
        return config.parse(files() if callable(files) else files, list(flags))
    except GenlitError as error:
        assert str(error)
        assert "\n" not in str(error)
        return None


@given(st.fixed_dictionaries({}, optional=VALID))
def test_what_is_dumped_is_parsed_as_the_same(file, overrides):
    tree = {"based_on": ["dcgan"]}
    for key, value in overrides.items():
        *section, name = key.split(".")
        (tree.setdefault(*section, {}) if section else tree)[name] = value
    file.write_text(yaml.safe_dump(config._plain(tree), allow_unicode=True))
    plain = config.dump(config.parse(config.compose(str(file), []), []))
    file.write_text(yaml.safe_dump(plain))
    assert config.dump(config.parse([file], [])) == plain
