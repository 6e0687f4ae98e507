"""What a reviewer decided, on its way back to the task."""

import asyncio

from goose_py.actions.review.inspection import task_to_change
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.protocol.commands import SendFeedback
from goose_py.workers.launch import tell


def send_feedback(task_id: str | None, note: str) -> int:
    """One prompt with everything that was rejected, edited or commented since the last time. Raises UserError where there is
    nothing to say."""
    host = host_with_tasks()
    folder = task_to_change(host, task_id)
    asyncio.run(tell(host, folder, SendFeedback(note=note)))
    print(f"Sent to task {folder.task_id}; it revises what you did not accept.")
    return 0
