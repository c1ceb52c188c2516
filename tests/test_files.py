import hashlib

import pytest

from genlit.errors import GenlitError
from genlit.files import replacing_folder, require_space, sha256, write


def test_replaces_the_whole_file_and_leaves_no_temporary(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    write(path, b"first and long")
    write(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(GenlitError, match=r"cannot write .*file/inside"):
        write(tmp_path / "file" / "inside", b"")


def test_a_folder_appears_whole(tmp_path):
    with replacing_folder(tmp_path / "folder") as folder:
        write(folder / "file", b"content")
        assert not (tmp_path / "folder").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "file"]


def test_a_folder_that_fails_vanishes_and_so_does_what_a_killed_process_left(tmp_path):
    write(tmp_path / ".folder.host.1.tmp" / "file", b"left")

    def build():
        with replacing_folder(tmp_path / "folder") as folder:
            write(folder / "file", b"content")
            raise KeyError("cut")

    with pytest.raises(KeyError, match="cut"):
        build()
    assert list(tmp_path.iterdir()) == []


def test_the_sha256_is_the_file_s(tmp_path):
    write(tmp_path / "file", b"content" * 100_000)
    assert sha256(tmp_path / "file") == hashlib.sha256(b"content" * 100_000).hexdigest()


def test_what_cannot_fit_is_not_begun(tmp_path):
    require_space(tmp_path, 1)
    with pytest.raises(OSError, match="No space left"):
        require_space(tmp_path, 10**18)
