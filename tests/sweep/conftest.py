"""A search space and a trial of a moment: a script that writes history.jsonl."""

import pytest

from genlit.sweep.local import Asked

SCRIPT = """
echo started >> "$1/seen"
x=${2#--x=}
[ "$x" = bad ] && echo "x is bad" >&2 && exit 3
for step in 1 2 3; do
    sleep ${PAUSE:-0}
    echo '{"progress/iter": '$step', "loss/1a2b.n10.val": '$x'}' >> "$1/history.jsonl"
done
echo ended >> "$1/seen"
"""


@pytest.fixture
def content(tmp_path):
    """A sweep file's content, whose trials take a moment, with other keys where they are given."""
    script = tmp_path / "trial.sh"
    script.write_text(SCRIPT)

    def sweep(**keys):
        command = ["${env}", "sh", str(script), "${envvar:GENLIT_FOLDER}", "${args}"]
        told = {
            "method": "random",
            "metric": {"name": "loss"},
            "command": command,
            "parameters": {"x": {"min": 0.0, "max": 1.0}},
        }
        return told | keys

    return sweep


@pytest.fixture
def asked(tmp_path, content):
    """A sweep as the command line asks for it."""

    def ask(cap=None, workers=1, **keys):
        return Asked(content(**keys), "dcgan", [], [], (), tmp_path / "sweep", workers, cap)

    return ask
