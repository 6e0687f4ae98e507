"""The list of tasks that a screen asks for every few seconds."""

from pathlib import Path

from goose_py.protocol import events as ev
from goose_py.protocol.messages import ModelRef
from goose_py.session.log import Log
from goose_py.tasks.store import TaskFolder, TaskStore
from goose_py.tasks.summaries import TaskListing
from goose_py.tasks.summary import list_tasks


def begun(store: TaskStore, title: str) -> TaskFolder:
    folder = store.new(lambda: 1_700_000_000.0)
    log = Log.create(folder.path, folder.task_id, lambda: 1_700_000_000.0)
    log.append(
        ev.SessionStarted(
            session_id=folder.task_id, title=title, workspace="/w", model=ModelRef(provider="p", model="m")
        )
    )
    log.close()
    return folder


def test_only_tasks_that_changed_are_read_again(tmp_path: Path):
    store = TaskStore(tmp_path / "state", tmp_path / "run")
    first, second = begun(store, "first"), begun(store, "second")
    listing = TaskListing(store)
    before = {summary.task_id: summary for summary in listing.read()}
    assert set(before) == {first.task_id, second.task_id}
    log, _ = Log.open(second.path, lambda: 1_700_000_009.0)
    log.append(ev.TitleSet(title="renamed"))
    held = {summary.task_id: summary for summary in listing.read()}
    assert held[second.task_id].alive and held[second.task_id].title == "renamed"
    log.close()
    after = {summary.task_id: summary for summary in listing.read()}
    assert after[first.task_id] is before[first.task_id] and not after[second.task_id].alive
    assert sorted(after.values(), key=lambda each: each.task_id) == sorted(list_tasks(store), key=lambda each: each.task_id)


def test_a_task_that_has_not_begun_and_whose_spec_is_damaged_is_listed_as_failed(tmp_path: Path):
    store = TaskStore(tmp_path / "state", tmp_path / "run")
    folder = store.new(lambda: 1_700_000_000.0)
    Log.create(folder.path, folder.task_id, lambda: 1_700_000_000.0).close()
    folder.spec.write_text("{")
    (summary,) = list_tasks(store)
    assert summary.state == "failed" and str(folder.spec) in summary.detail
