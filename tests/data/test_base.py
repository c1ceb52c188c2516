from itertools import chain, islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightning.pytorch as pl
import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser
from torch import Tensor
from torchvision import transforms

import genlit.data
from genlit.data import Folder, Grid, Npz, Ring, Source
from genlit.data.order import ClockedBatches
from genlit.data.store import Contents
from genlit.errors import GenlitError

BYTES = np.random.default_rng(0).integers(256, size=(100, 3, 8, 6), dtype=np.uint8)


class Memory(Source):
    """100 labelled images; the label is the row."""

    has_val = False

    def identity(self) -> object:
        return self.has_val

    def contents(self) -> Contents:
        columns = {"image": BYTES, "label": np.arange(100), "text": [f"row {row}" for row in range(100)]}
        part = {name: column[:10] for name, column in columns.items()}
        return Contents({"train": [columns], "test": [part]} | ({"val": [part]} if self.has_val else {}))


class WithVal(Memory):
    has_val = True


def labels(batches: Any, count: int | None = None) -> list[list[int]]:
    return [batch["label"].tolist() for batch in islice(batches, count)]


def as_rank(source: Source, rank: int, world: int, it: int = 0) -> Source:
    source.trainer = SimpleNamespace(global_rank=rank, world_size=world, global_step=it)
    return source


def test_a_batch_holds_the_columns_of_its_rows():
    batch = next(iter(Memory(batch_size=16).train_dataloader()))
    rows = batch["label"]
    assert {name: getattr(column, "dtype", list) for name, column in batch.items()} == {
        "image": torch.uint8, "label": torch.int64, "text": list,
    }  # fmt: skip
    assert (batch["image"].numpy() == BYTES[rows]).all()
    assert batch["text"] == [f"row {row}" for row in rows]


def test_shape_is_known_at_once():
    source = Memory()
    assert source.shape == (3, 8, 6)
    assert source.classes == source.attribute_names == []


def test_workers_do_not_change_the_batches():
    assert labels(Memory(workers=2).train_dataloader(), 8) == labels(Memory(workers=0).train_dataloader(), 8)


def test_training_begins_at_the_trainer_s_iteration():
    whole = labels(Memory(batch_size=8).train_dataloader(), 10)
    assert labels(as_rank(Memory(batch_size=8), 0, 1, it=6).train_dataloader(), 4) == whole[6:]


def test_ranks_share_the_batch():
    whole = labels(Memory(batch_size=8).train_dataloader(), 5)
    ranks = [labels(as_rank(Memory(batch_size=8), rank, 2).train_dataloader(), 5) for rank in range(2)]
    assert [a + b for a, b in zip(*ranks, strict=True)] == whole
    with pytest.raises(GenlitError, match="3 processes cannot share"):
        as_rank(Memory(batch_size=8), 0, 3).train_dataloader()


def test_the_last_rows_of_training_are_held_out():
    source = Memory(holdout=0.2, batch_size=7)
    assert [*chain(*labels(source.val_dataloader()))] == list(range(80, 100))
    assert {*chain(*labels(source.train_dataloader(), 30))} == set(range(80))
    assert [*chain(*labels(source.test_dataloader()))] == list(range(10))


def test_nothing_is_held_out_where_there_is_a_validation_split_or_no_wish_for_one():
    assert len(WithVal().rows("train")) == 100
    assert [*chain(*labels(WithVal().val_dataloader()))] == list(range(10))
    assert len(Memory(holdout=0).rows("train")) == 100
    assert labels(Memory(holdout=0).val_dataloader()) == []


def test_evaluation_is_shared_without_padding():
    ranks = [labels(as_rank(Memory(holdout=0.35, batch_size=8), rank, 2).val_dataloader()) for rank in range(2)]
    assert [[len(batch) for batch in batches] for batches in ranks] == [[4, 4, 4, 4, 3], [4, 4, 4, 4]]
    assert sorted(chain(*ranks[0], *ranks[1])) == list(range(65, 100))


def test_the_first_held_out_rows_do_not_depend_on_the_batch_or_the_process():
    for source in (Memory(holdout=0.2), as_rank(Memory(holdout=0.2, batch_size=2), rank=0, world=2)):
        rows = source.first(5, torch.device("cpu"))
        assert (rows["label"].tolist(), rows["text"][0]) == ([80, 81, 82, 83, 84], "row 80")
        assert torch.equal(rows["image"], source.transform({"image": torch.from_numpy(BYTES[80:85])}, False)["image"])
    assert Memory(holdout=0.2).first(99, torch.device("cpu"))["label"].tolist() == list(range(80, 100))


def test_the_first_rows_come_from_the_test_split_where_there_is_no_validation():
    source = Memory(holdout=0)
    assert source.held_out == "test"
    assert source.first(3, torch.device("cpu"))["label"].tolist() == [0, 1, 2]


def test_without_held_out_images_the_remedy_is_named(tmp_path: Path):
    np.savez(tmp_path / "x.npz", train_images=BYTES[:, 0])
    with pytest.raises(GenlitError, match=r"Npz holds no images back .* set data\.holdout above 0"):
        Npz(path=str(tmp_path / "x.npz"), holdout=0).first(5, torch.device("cpu"))


def test_the_first_rows_are_the_same_in_every_run_and_leave_the_random_state_alone():
    torch.manual_seed(7)
    one = Memory(binarize="dynamic").first(5, torch.device("cpu"))["image"]
    drawn = torch.rand(())
    torch.manual_seed(7)
    assert drawn == torch.rand(())
    assert torch.equal(one, Memory(binarize="dynamic").first(5, torch.device("cpu"))["image"])


def test_loaders_leave_the_global_random_numbers_alone():
    state = torch.random.get_rng_state()
    labels(Memory().train_dataloader(), 3)
    labels(Memory(workers=1).val_dataloader())
    assert (torch.random.get_rng_state() == state).all()


class Quarters(Memory):
    """The label is the row's remainder by 4."""

    def contents(self) -> Contents:
        contents = super().contents()
        for ((stream),) in contents.splits.values():
            stream["label"] = stream["label"] % 4
        return contents


NEEDS = ("image", "labelled_image", "labelled_label")


def shown(source: Source, batches: int = 20) -> dict[str, int]:
    """The rows that show their label in training, and their labels."""
    seen = islice(source.train_dataloader(), batches)
    pairs = [pair for batch in seen for pair in zip(batch["text"], batch["label"].tolist(), strict=True)]
    return {row: label for row, label in pairs if label >= 0}


def test_labels_are_shown_of_as_many_rows_of_each_class():
    known = shown(Quarters(labelled=12))
    assert sorted(known.values()) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert all(int(row.removeprefix("row ")) % 4 == label for row, label in known.items())
    assert shown(Quarters(labelled=12, batch_size=7)) == known
    assert shown(Quarters(labelled=12, seed=1)) != known
    assert len(shown(Quarters())) == 95


def test_labels_are_hidden_in_training_alone():
    source = Quarters(labelled=4)
    assert [*chain(*labels(source.val_dataloader()))] == [row % 4 for row in range(95, 100)]
    assert source.rows("train").streams[0]["label"].min() == 0


def test_labelled_images_are_a_stream_of_their_own_in_training():
    source = Quarters(labelled=12, batch_size=16).require(NEEDS)
    known = shown(source)
    loader = islice(source.train_dataloader(), 6)
    rows = np.concatenate([batch["labelled_image"].flatten(1).numpy() for batch in loader])
    found = [next(row for row in range(100) if (BYTES[row].ravel() == image).all()) for image in rows]
    assert {f"row {row}" for row in found} == set(known)
    assert {found.count(row) for row in found} == {8}  # 6 batches of 16 are 8 rounds of 12

    batch = next(iter(source.train_dataloader()))
    assert [row % 4 for row in found[:16]] == batch["labelled_label"].tolist()
    assert source.transform(batch, training=True)["labelled_image"].abs().max() <= 1


def test_held_out_images_are_all_labelled():
    batch = next(iter(Quarters(labelled=12).require(NEEDS).val_dataloader()))
    assert torch.equal(batch["labelled_image"], batch["image"])
    assert torch.equal(batch["labelled_label"], batch["label"])
    assert next(iter(Quarters().require(NEEDS).train_dataloader()))["labelled_image"].shape == (64, 3, 8, 6)


@pytest.mark.parametrize(("labelled", "rule"), [(10, "a multiple of the 4 classes, and at most 23 of each"), (0, "at")])
def test_labels_that_cannot_be_shown_are_refused(labelled: int, rule: str):
    with pytest.raises(GenlitError, match=rf"data\.labelled is {labelled}: it must be {rule}"):
        Quarters(labelled=labelled).train_dataloader()


def test_labels_are_not_shown_where_there_are_none(tmp_path: Path):
    np.savez(tmp_path / "x.npz", train_images=BYTES[:, 0])
    with pytest.raises(GenlitError, match="needs `label`, and Npz has only image: add `train_labels`"):
        Npz(path=str(tmp_path / "x.npz"), labelled=10).require(("image",)).prepare_data()


def test_lightning_trains_on_the_clocked_rows():
    class Reader(pl.LightningModule):
        def __init__(self):
            super().__init__()
            self.weight, self.seen = torch.nn.Parameter(torch.zeros(())), []

        def training_step(self, batch: dict) -> Tensor:
            self.seen.append(batch["label"].tolist())
            return self.weight * 1.0

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters())

    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    trainer = pl.Trainer(max_steps=6, enable_checkpointing=False, use_distributed_sampler=False, **quiet)
    reader = Reader()
    trainer.fit(reader, datamodule=Memory(batch_size=32, seed=5))
    expected = islice(ClockedBatches([95], 32, 5, 0, 1, lambda: 0), 6)
    assert reader.seen == [rows.tolist() for (rows,) in expected]


def test_a_missing_column_is_named_with_what_there_is():
    said = r"The model needs `attributes`, and Memory has only image, label, text: .*another model"
    with pytest.raises(GenlitError, match=said):
        Memory().require(("image", "attributes")).prepare_data()
    assert Memory().require(("image", "label")).shape == (3, 8, 6)


def test_a_missing_split_is_named(tmp_path: Path):
    np.savez(tmp_path / "x.npz", train_images=BYTES[:, 0])
    with pytest.raises(GenlitError, match="Npz has no test split"):
        Npz(path=str(tmp_path / "x.npz")).test_dataloader()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("size", 0),
        ("fit", "squeeze"),
        ("batch_size", 0),
        ("binarize", "yes"),
        ("holdout", 1.0),
        ("workers", -1),
        ("seed", -1),
    ],
)
def test_arguments_out_of_range_are_named(key: str, value: object):
    with pytest.raises(GenlitError, match=rf"data.{key} is {value}: it must be"):
        Memory(**{key: value})


def test_batches_grow_in_training_and_are_the_largest_elsewhere():
    source = Memory(holdout=0.4, batch_size={0: 4, 8: 16})
    assert [len(rows) for rows in labels(source.train_dataloader(), 4)] == [4, 4, 16, 16]
    assert [len(rows) for rows in labels(source.val_dataloader())] == [16, 16, 8]
    with pytest.raises(GenlitError, match=r"data\.batch_size\.8 is 0"):
        Memory(batch_size={0: 4, 8: 0})


def test_size_is_part_of_the_store_s_key_and_the_root_comes_from_the_environment(root: Path):
    stores = [Memory(size=size).store.folder for size in (None, 4, 5)]
    assert len({*stores}) == 3
    assert {store.parent for store in stores} == {root}
    assert Memory(size=4).store.folder == stores[1]


def test_transform_has_the_bits_of_to_tensor_and_normalize():
    theirs = transforms.Compose([transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)])
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16).expand(2, 3, 16, 16)
    ours = Memory().transform({"image": every}, training=True)["image"]
    assert torch.equal(ours[0], theirs(every[0].permute(1, 2, 0).numpy()))
    assert ours.min() == -1
    assert ours.max() == 1


def test_transform_follows_the_default_type():
    torch.set_default_dtype(torch.float64)
    try:
        x = Memory().transform({"image": torch.from_numpy(BYTES)}, training=False)["image"]
    finally:
        torch.set_default_dtype(torch.float32)
    assert x.dtype == torch.float64
    assert torch.equal(x, torch.from_numpy(BYTES).double().div(255).sub(0.5).div(0.5))


def test_transform_leaves_real_images_and_other_columns():
    source = Memory(mirror=True, binarize="threshold")
    once = source.transform({"a": torch.from_numpy(BYTES), "label": torch.arange(100)}, training=True)
    twice = source.transform(once, training=True)
    assert torch.equal(once["a"], twice["a"])
    assert twice["label"] is once["label"]


def test_mirror_flips_whole_images_half_of_the_time_in_training_only():
    x = torch.from_numpy(BYTES).repeat(10, 1, 1, 1)
    source, plain = Memory(mirror=True), Memory().transform({"image": x}, training=True)["image"]
    flipped = source.transform({"image": x}, training=True)["image"]
    straight = (flipped == plain).flatten(1).all(1)
    mirrored = (flipped == plain.flip(-1)).flatten(1).all(1)
    assert (straight ^ mirrored).all()
    assert abs(mirrored.float().mean() - 0.5) < 0.08
    assert torch.equal(source.transform({"image": x}, training=False)["image"], plain)


def test_threshold_binarization():
    x = torch.tensor([0, 127, 128, 255], dtype=torch.uint8).reshape(1, 1, 2, 2)
    binary = Memory(binarize="threshold").transform({"image": x}, training=True)["image"]
    assert binary.flatten().tolist() == [-1, -1, 1, 1]


def test_dynamic_binarization_has_the_byte_as_its_mean():
    x = torch.tensor([0, 51, 128, 255], dtype=torch.uint8).reshape(4, 1, 1, 1).expand(4, 1, 200, 200)
    torch.manual_seed(0)
    binary = Memory(binarize="dynamic").transform({"image": x}, training=False)["image"]
    assert set(binary.unique().tolist()) == {-1, 1}
    ones = (binary > 0).float().mean((1, 2, 3))
    assert torch.allclose(ones, torch.tensor([0, 0.2, 128 / 255, 1]), atol=0.01)
    torch.manual_seed(0)
    assert torch.equal(binary, Memory(binarize="dynamic").transform({"image": x}, training=False)["image"])


def test_dequantisation_spreads_each_byte_over_its_step():
    x = torch.arange(256, dtype=torch.uint8).reshape(-1, 1, 1, 1).expand(-1, 1, 100, 100)
    torch.manual_seed(0)
    real = Memory(dequantize=True).transform({"image": x}, training=False)["image"]
    noise = (real - Memory().transform({"image": x}, training=False)["image"]) / (2 / 255)
    assert noise.abs().max() <= 0.5 + 1e-4
    assert noise.mean().item() == pytest.approx(0, abs=1e-3)
    assert noise.var().item() == pytest.approx(1 / 12, rel=1e-2)
    with pytest.raises(GenlitError, match=r"data.dequantize is True: it must be false where binarize is set"):
        Memory(dequantize=True, binarize="dynamic")


def test_only_some_labels_are_kept_in_every_split():
    source = Memory(only=[3, 5, 50], batch_size=1, holdout=0)
    assert labels(source.loader("test")) == [[0], [1]]  # they count from 0
    assert sorted(chain.from_iterable(labels(source.loader("train"), 3))) == [0, 1, 2]
    assert (next(iter(source.loader("test")))["image"].numpy() == BYTES[3]).all()
    assert len(Memory().rows("test")) == 10  # another store


@pytest.mark.parametrize(("only", "split"), [([200], "train"), ([50], "test")])
def test_labels_that_do_not_occur_are_named(only: list[int], split: str):
    with pytest.raises(GenlitError, match=rf"data.only is \[{only[0]}\]: it must be labels that occur in {split}"):
        Memory(only=only).prepare_data()


def test_one_of_several_captions_is_drawn_in_training():
    batch = {"text": ["a cat\na tabby", "a dog"] * 20}
    drawn = Memory().transform(batch, training=True)["text"]
    assert set(drawn) == {"a cat", "a tabby", "a dog"}
    assert Memory().transform(batch, training=False)["text"] == ["a cat", "a dog"] * 20


@pytest.mark.parametrize("name", genlit.data.__all__)
def test_every_source_is_configurable(name: str):
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(getattr(genlit.data, name), "data")
    keys = {action.dest for action in parser._actions}
    assert {"data.batch_size", "data.holdout", "data.workers", "data.seed", "data.root"} <= keys
    assert not {"data.kwargs", "data.centres"} & keys


def test_the_own_keys_of_sources_are_configurable(tmp_path: Path):
    for source, values in {Ring: {"modes": 5, "std": 0.1}, Grid: {"side": 3}, Folder: {"path": "x", "size": 8}}.items():
        parser = ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(source, "data")
        parsed = parser.parse_args([f"--data.{key}={value}" for key, value in values.items()])
        assert {key: parsed.data[key] for key in values} == values
