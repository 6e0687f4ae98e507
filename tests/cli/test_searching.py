"""What a model finds in a project whose folders are named with the characters of patterns."""

import pytest
from command import answered

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

ROUTES = [
    "app/(group)/page.tsx",
    "app/@slot/page.tsx",
    "app/[...slug]/page.tsx",
    "app/[[...all]]/page.tsx",
    "app/[id]/page.tsx",
    "app/[user-id]/page.tsx",
    "app/d/page.tsx",
    "app/x/page.tsx",
    "app/{a,b}/page.tsx",
]


@pytest.mark.case("H11")
async def test_folders_named_with_the_characters_of_patterns_are_found_by_their_names(user):
    for route in ROUTES:
        (user.repository / route).parent.mkdir(parents=True)
        (user.repository / route).write_text("export default page\n")
    user.commit("Routes")
    wanted = {
        "app/[id]/*.tsx": ["app/[id]/page.tsx", "app/d/page.tsx"],
        r"app/\[id\]/*.tsx": ["app/[id]/page.tsx"],
        "app/[user-id]/*": ["app/[user-id]/page.tsx", "app/d/page.tsx"],
        "app/[...slug]/**": ["app/[...slug]/page.tsx"],
        "app/[[...all]]/*.tsx": ["app/[[...all]]/page.tsx"],
        "**/(group)/*.tsx": ["app/(group)/page.tsx"],
        "app/@slot/*": ["app/@slot/page.tsx"],
        "app/{a,b}/*.{ts,tsx}": ["app/{a,b}/page.tsx"],
        "app/[": [],
    }
    turn = {"calls": [], "text": "I look for the routes."}
    for number, pattern in enumerate(wanted):
        arguments = {"grep": {"pattern": "export", "glob": pattern, "files_only": True}, "glob": {"pattern": pattern}}
        turn["calls"] += [{"name": name, "arguments": arguments[name], "id": f"{name}_{number}"} for name in arguments]
    async with answered(user, [turn, {"text": "Found."}]):
        done = await user.goose("run", "-t", "Look for the routes", "--output-format", "json")
    events = [record.event for record in read_log(user.state / "tasks" / done.json["session_id"]).records]
    found = {event.result.call_id: event.result.text() for event in events if isinstance(event, ev.ToolFinished)}
    for number, (pattern, files) in enumerate(wanted.items()):
        globbed, searched = found[f"glob_{number}"], found[f"grep_{number}"]
        if files:
            assert globbed.splitlines() == files, pattern
            assert searched.splitlines()[:-1] == [f"{file}: 1" for file in files], pattern
        else:
            assert globbed == f"No files match {pattern!r}." and searched == "No matches for 'export' in 0 files."
