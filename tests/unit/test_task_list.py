"""The list of tasks, in terminals of any width."""

import io

import pytest
from rich.console import Console

from goose_py.cli.listing import table_of
from goose_py.tasks.summary import TaskSummary

IDS = ("1122-c61132", "1122-f96bc1", "1122-51dcb9")
TASKS = (
    TaskSummary(task_id=IDS[0], title="Change the parser", state="awaiting review", checks="stale", files=2, added=120,
                removed=99, unresolved=("parser.py", "test_parser.py")),
    TaskSummary(task_id=IDS[1], title="Add type hints to src/api", state="awaiting review", checks="failed", files=1,
                added=6, detail="The check `python -m pytest -q tests/test_api.py` does not pass."),
    TaskSummary(task_id=IDS[2], title="Write the docs", cost=1.25),
)  # fmt: skip
REASONS = {IDS[2]: "4 tasks are at work, which is as many as tasks.parallel allows"}


def shown(width: int) -> str:
    out = io.StringIO()
    Console(width=width, file=out, markup=False, highlight=False).print(table_of(TASKS, REASONS))
    return out.getvalue()


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_narrow_terminal_cuts_off_no_id_no_figure_and_no_word(width: int):
    lines = shown(width).splitlines()
    assert all(len(line) <= width for line in lines)
    for task_id, figures in zip(IDS, ("~ stale   +120 −99", "✗ failed  +6 −0", "$1.25"), strict=True):
        (row,) = [line for line in lines if line.startswith(task_id)]
        assert figures in row
    words = shown(width).split()
    told = " ".join([*(task.title for task in TASKS), TASKS[1].detail, *REASONS.values(), "parser.py, test_parser.py"])
    assert [word for word in told.split() if word not in words] == []
