"""The list of tasks that a screen asks for every few seconds."""

import os
from pathlib import Path

import pytest

from goose_py.protocol import events as ev
from goose_py.protocol.messages import ModelRef
from goose_py.session.log import LOG_NAME, Log
from goose_py.tasks.store import TaskFolder, TaskStore
from goose_py.tasks.summaries import TaskListing, list_tasks


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
    assert after[first.task_id] == before[first.task_id] and not after[second.task_id].alive
    assert sorted(after.values(), key=lambda each: each.task_id) == sorted(list_tasks(store), key=lambda each: each.task_id)


def scrambled(folder: TaskFolder, size: int) -> None:
    """The first bytes of the log are gone, and nothing shows it."""
    path = folder.path / LOG_NAME
    found = path.stat()
    with path.open("r+b") as stream:
        stream.write(b"x" * size)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.case("P22")
def test_of_a_log_only_what_was_added_is_read_whoever_looked_before(tmp_path: Path):
    store = TaskStore(tmp_path / "state", tmp_path / "run")
    folder = begun(store, "first")
    assert [each.title for each in list_tasks(store)] == ["first"]
    scrambled(folder, (folder.path / LOG_NAME).stat().st_size - 1)
    assert [each.title for each in list_tasks(store)] == ["first"]
    with (folder.path / LOG_NAME).open("ab") as stream:
        stream.write(b'{"seq":2,"at":9.0,"event":{"type":"title_set","title":"second"}}\n')
    (found,) = list_tasks(store)
    assert (found.title, found.workspace, found.updated_at) == ("second", "/w", 9.0)


@pytest.mark.case("P22")
@pytest.mark.parametrize("damage", ["{", "", '{"made_by":"another","entries":{}}'])
def test_an_index_that_is_damaged_or_made_by_another_version_is_made_anew(tmp_path: Path, damage: str):
    store = TaskStore(tmp_path / "state", tmp_path / "run")
    begun(store, "first")
    before = list_tasks(store)
    index = tmp_path / "summaries.json"
    kept = index.read_bytes()
    index.write_text(damage)
    assert list_tasks(store) == before and index.read_bytes() == kept


@pytest.mark.case("P22")
def test_a_log_in_whose_place_another_one_came_is_read_from_its_beginning(tmp_path: Path):
    store = TaskStore(tmp_path / "state", tmp_path / "run")
    folder = begun(store, "first")
    list_tasks(store)
    other = begun(TaskStore(tmp_path / "other", tmp_path / "run"), "a longer title than that of the first")
    (other.path / LOG_NAME).replace(folder.path / LOG_NAME)
    assert [each.title for each in list_tasks(store)] == ["a longer title than that of the first"]


def test_a_task_that_has_not_begun_and_whose_spec_is_damaged_is_listed_as_failed(tmp_path: Path):
    store = TaskStore(tmp_path / "state", tmp_path / "run")
    folder = store.new(lambda: 1_700_000_000.0)
    Log.create(folder.path, folder.task_id, lambda: 1_700_000_000.0).close()
    folder.spec.write_text("{")
    (summary,) = list_tasks(store)
    assert summary.state == "failed" and str(folder.spec) in summary.detail
