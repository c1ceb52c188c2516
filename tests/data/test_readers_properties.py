"""Damaged .npz files and annotations are refused in a sentence, or read as what they say."""

import io
import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from genlit.data import Folder, Npz
from genlit.errors import GenlitError

IMAGES, LABELS = np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.arange(3)
EDITS = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=4)
FILES = [f"{k}.png" for k in range(3)]
ANNOTATIONS = {
    "captions.csv": "file,caption\n" + "".join(f'{file},"a cat, {file}"\n' for file in FILES),
    "captions.jsonl": "".join(json.dumps({"file": file, "captions": ["a", "b"]}) + "\n" for file in FILES),
    "attributes.csv": "file,odd,small\n" + "".join(f"{file},0,-1\n" for file in FILES),
}
WORDS = st.sampled_from(
    ["\0", '"', ",", "\n", "\r", "{", "[", "null", "\ufeff", "é", "0", "x" * 200_000, '{"file": 5}']
)


def written(compressed):
    content = io.BytesIO()
    save = np.savez_compressed if compressed else np.savez
    save(content, train_images=IMAGES, train_labels=LABELS)
    return content.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("annotated")
    for file in FILES:
        Image.new("RGB", (4, 4)).save(made / file)
    return made


def contents(source):
    """The training columns; none where they are refused."""
    try:
        return source.contents().splits["train"]
    except GenlitError:
        return []


@given(st.booleans(), EDITS, st.floats(0.5, 1))
def test_a_damaged_file_gives_its_arrays_or_none(folder, compressed, edits, kept):
    content = bytearray(written(compressed))
    for place, value in edits:
        content[int(place * len(content))] = value
    (folder / "set.npz").write_bytes(content[: round(kept * len(content))] if kept < 0.75 else content)
    for stream in contents(Npz(path=str(folder / "set.npz"))):
        assert (stream["image"][:, 0] == IMAGES).all()
        assert np.array_equal(stream.get("label", LABELS), LABELS)


@given(st.sampled_from(sorted(ANNOTATIONS)), st.floats(0, 1), WORDS | st.text(max_size=4), st.integers(0, 9))
@example("captions.csv", 0.5, "\0", 0)
@example("captions.csv", 0.5, '"' + "x" * 200_000, 0)
@example("attributes.csv", 0.5, '"' + "x" * 200_000, 0)
@example("captions.jsonl", 0, "[" * 100_000, 0)
@example("captions.jsonl", 0, "5\n", 0)
@example("captions.csv", 0, "file,", 0)
def test_damaged_annotations_are_read_as_they_stand_or_refused(folder, name, place, inserted, removed):
    text = ANNOTATIONS[name]
    start = int(place * len(text))
    for other in ANNOTATIONS:
        (folder / other).unlink(missing_ok=True)
    (folder / name).write_text(text[:start] + inserted + text[start + removed :], encoding="utf-8", errors="replace")
    for stream in contents(Folder(path=str(folder))):
        assert all(stream.get("text", ["any"]))
        assert set(np.ravel(stream.get("attributes", []))) <= {-1, 0, 1}
