import pytest

from genlit.errors import GenlitError
from genlit.files import write


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
