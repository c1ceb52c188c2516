"""Configurations of any content: read back as they were, or refused in one sentence."""

import json

import pytest
import yaml
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from genlit import config
from genlit.errors import GenlitError
from genlit.runs.changes import flat

KNOWN = [
    *flat(config.dump(config.parse(config.compose("dcgan", []), []))),
    "config",
    "based_on",
    "claim",
    "print_config",
]
RATE = st.floats(1e-9, 1, allow_nan=False)
WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
VALID = {
    "seed": st.integers(0, 2**63 - 1),
    "cost": WORDS,
    "model.lr": RATE | st.fixed_dictionaries({"critic": RATE, "generator": RATE}),
    "model.betas": st.tuples(RATE, RATE),
    "model.ema": st.none() | st.integers(1, 10**9),
    "data.batch_size": st.integers(1, 512)
    | st.dictionaries(st.integers(1), st.integers(1, 512)).map(lambda later: later | {0: 8}),
    "trainer.max_steps": st.integers(1, 10**12),
    "run.tags": st.none() | st.lists(WORDS, max_size=3),
    "run.evaluate_share": RATE,
}
FEW = settings(max_examples=15)  # a configuration takes a tenth of a second to parse
NAMES = st.from_regex(r"[a-z][a-z_]{0,11}", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(SCALARS, inner), max_leaves=8)
KEYS = ["seed", "claim", "cost", "model", "data", "run", "trainer"]
LINES = st.sampled_from(
    ["based_on: [dcgan]", "model:", "  lr: 1", "  name: DCGAN", "  lr: {critic: [", "a: &a [*a]", "? x", "- y", "---",
     "trainer: !!python/name:os.system", "run: ${data}", "data: *a",
     "seed: ${oc.env:HOME}", "\t", "claim: {metric: ?}"]
)  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    return tmp_path_factory.mktemp("configurations") / "mine.yaml"


def refusal(file, flags=()):
    """What is said of a file and flags; None where they are taken."""
    try:
        config.parse(config.compose(str(file), []), list(flags))
    except GenlitError as error:
        return str(error)
    return None


def is_sentence(said):
    return bool(said) and "\n" not in said


@FEW
@given(st.fixed_dictionaries({}, optional=VALID))
def test_what_is_dumped_is_parsed_as_the_same(file, overrides):
    tree = {"based_on": ["dcgan"]}
    for key, value in overrides.items():
        section, _, name = key.rpartition(".")
        (tree.setdefault(section, {}) if section else tree)[name] = value
    file.write_text(yaml.safe_dump(tree))
    plain = config.dump(config.parse(config.compose(str(file), []), []))
    file.write_text(yaml.safe_dump(plain))
    assert config.dump(config.parse([file], [])) == plain
    assert all(flat(plain)[key] == value for key, value in flat(json.loads(json.dumps(tree))).items())


@FEW
@given(st.sampled_from(["", "model.", "data.", "run.", "trainer."]), NAMES, WORDS)
def test_an_unknown_key_is_refused_wherever_it_stands(file, section, name, value):
    key = section + name
    assume(not any(known == key or known.startswith(f"{key}.") for known in KNOWN))
    file.write_text("based_on: [dcgan]\n")
    assert is_sentence(refusal(file, [f"--{key}={value}"]))
    file.write_text(
        yaml.safe_dump({"based_on": ["dcgan"]} | ({section[:-1]: {name: value}} if section else {key: value}))
    )
    assert is_sentence(refusal(file))


@FEW
@given(st.fixed_dictionaries({"based_on": st.just(["dcgan"])}, optional=dict.fromkeys(KEYS, ANYTHING)))
@example({"based_on": 5})
@example({"based_on": ["dcgan", 5]})
@example({"based_on": ["dcgan"], "trainer": [1]})
@example({"based_on": ["dcgan"], "run": None})
@example({"based_on": ["dcgan"], "model": {"name": ["DCGAN"]}})
def test_a_file_of_any_content_is_parsed_or_refused_in_a_sentence(file, tree):
    file.write_text(yaml.safe_dump(tree))
    said = refusal(file)
    assert said is None or is_sentence(said)


@FEW
@given(st.lists(LINES, max_size=6).map("\n".join) | st.text(max_size=40))
def test_any_text_is_parsed_or_refused_in_a_sentence(file, text):
    file.write_text(text, encoding="utf-8", errors="replace")
    said = refusal(file)
    assert said is None or is_sentence(said)


@FEW
@given(st.binary(max_size=40))
def test_any_bytes_are_refused(file, content):
    file.write_bytes(content)
    assert is_sentence(refusal(file))


@FEW
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=12).map("--{}".format), max_size=2))
def test_any_flags_are_parsed_or_refused_in_a_sentence(file, flags):
    assume(not set(flags) & {"--help", "--h"})
    file.write_text("based_on: [dcgan]\n")
    said = refusal(file, flags)
    assert said is None or is_sentence(said)


def test_a_circle_of_files_is_named(file):
    other = file.with_name("other.yaml")
    file.write_text(f"based_on: [{other}]\n")
    other.write_text(f"based_on: [{file}]\n")
    with pytest.raises(GenlitError, match=r"mine\.yaml is based on itself, by way of .*other\.yaml"):
        config.compose(str(file), [])


@pytest.mark.parametrize("value", ["{critic: .nan}", "{critic: .inf}"])
def test_a_number_within_a_value_is_finite(value):
    with pytest.raises(GenlitError, match=r"model\.lr: (nan|inf) is not a finite number"):
        config.parse(config.compose("dcgan", []), [f"--model.lr={value}"])
