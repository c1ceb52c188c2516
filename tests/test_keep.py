"""What is kept comes back as it was, or not at all."""

import torch

from genlit.keep import digest_of, keep, kept


def test_a_digest_tells_names_types_shapes_and_values_apart():
    state = {"a": torch.zeros(2, 3), "b": torch.ones(1)}
    digest = digest_of(state)
    assert digest == digest_of(dict(reversed(state.items())) | {"n.num_batches_tracked": torch.tensor(7)})
    others = [
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.float64)},
        {"a": torch.eye(3)[:2] * 1e-45},
        {"a": torch.zeros(2, 3, dtype=torch.bfloat16)},
        {"c": torch.zeros(2, 3)},
        {"b": torch.tensor(1.0)},
    ]
    assert len({digest} | {digest_of(state | other) for other in others}) == 1 + len(others)


def test_what_is_kept_comes_back_to_the_bit(tmp_path):
    tensors, facts = {"a": torch.randn(3, 2), "b": torch.arange(4)}, {"name": "x", "n": 2}
    keep(tmp_path / "kept.safetensors", tensors, facts)
    found, about = kept(tmp_path / "kept.safetensors")
    assert about == facts
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())
    assert kept(tmp_path / "other.safetensors") is None


def test_a_damaged_file_is_named_and_not_used(tmp_path, caplog):
    path = tmp_path / "kept.safetensors"
    keep(path, {"a": torch.zeros(64)}, {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert kept(path) is None
    assert f"{path} is damaged" in caplog.text
