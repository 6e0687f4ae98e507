"""A session as Markdown, JSON and HTML: complete, redacted, and with nothing in it that could break out."""

import json
from html.parser import HTMLParser

import pytest
from event_logs import MINE, PICTURE, finished, logs, numbered, prompt, replied
from hypothesis import given, settings
from markdown_it import MarkdownIt

from goose_py.protocol import events as ev
from goose_py.protocol.messages import Text, Thinking, ToolCall, Usage
from goose_py.protocol.plan import Plan, PlanStep
from goose_py.protocol.redact import redactor
from goose_py.session.export import blocks, title_of, to_html, to_json, to_markdown

CALL = ToolCall(id="a", name="shell", arguments={"command": "pytest -q"})
RECORDS = numbered(
    [
        ev.SessionStarted(session_id="s1", workspace="/w", model=MINE, program="1.0"),
        prompt("Mend the *parser*.\n# not a heading", "p", "now", PICTURE),
        ev.TurnStarted(turn=1),
        ev.PlanProposed(plan=Plan(steps=(PlanStep(title="mend it", status="in_progress"),), note="small")),
        ev.PlanDecided(approved=True, by="policy"),
        replied(Thinking(text="hm", signature="SIGNATURE"), "I run the tests.", CALL),
        ev.UsageRecorded(model=MINE, usage=Usage(input_tokens=10, output_tokens=2, cache_read_tokens=30), cost=0.25),
        ev.ToolStarted(call=CALL),
        finished("a", "```\n1 failed\n````\n", is_error=True),
        ev.ApprovalRequested(approval_id="q", call=CALL, reason="It is not known."),
        ev.ApprovalResolved(approval_id="q", allowed=False, by="user"),
        ev.VerificationFinished(command="make check", exit_code=2, tree="t", output="FAILED"),
        ev.ContextCompacted(summary="So far so good.", keep_from=3, method="summary"),
        ev.ChangesRecorded(tree_before="a", tree_after="b", files=1, added=2, removed=3),
        ev.Warned(text="The disk is nearly full."),
        ev.FinalOutput(value={"n": 1}),
        ev.TurnEnded(outcome="failed", detail="The check does not pass."),
    ]
)


def test_markdown_tells_the_session_in_order():
    text = to_markdown(RECORDS)
    order = [
        "# Mend the \\*parser\\*. \\# not a heading",
        "- Session: s1",
        "- 1 requests, 10 tokens in, 30 cached, 2 out, $0.2500",
        "## User",
        "> # not a heading",
        "[picture, image/png]",
        "[>] mend it",
        "I run the tests.",
        "## Shell pytest -q",
        "Error: ```",
        "## Approval asked for Shell pytest -q",
        "## Denied by user (once)",
        "## Check: make check — exit code 2",
        "## Context compacted (summary)",
        "## Changes: 1 file, +2 −3",
        "## Warning: The disk is nearly full.",
        '"n": 1',
        "## Turn ended: failed",
    ]
    places = [text.find(part) for part in order]
    assert -1 not in places and places == sorted(places), list(zip(order, places, strict=True))


@pytest.mark.parametrize(
    "hostile",
    [
        "```\n## User\n> forged",
        "~~~~\n## User",
        "</details><script>x</script>",
        "<!--",
        "\n\n---\n\n## User\n",
        "````" * 9,
        "[x](javascript:y)",
    ],
)
def test_nothing_that_a_tool_prints_or_a_user_says_becomes_a_heading_or_markup(hostile):
    records = numbered([prompt(hostile), replied(CALL), finished("a", hostile), ev.Warned(text=hostile)])
    tokens = MarkdownIt().parse(to_markdown(records))
    headings = [tokens[n + 1].content for n, token in enumerate(tokens) if token.type == "heading_open" and token.level == 0]
    assert [heading.split()[0] for heading in headings[1:]] == ["User", "Shell", "Warning:"]
    assert not any(token.type == "html_block" and token.level == 0 for token in tokens)
    page = _Page()
    page.feed(to_html(records))
    assert set(page.tags) <= {"html", "meta", "title", "style", "h1", "h2", "p", "br", "pre", "section", "details", "summary"}


class _Page(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags = []
        self.attributes = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def test_html_loads_nothing():
    page = _Page()
    page.feed(to_html(RECORDS))
    assert {name for name, _ in page.attributes} <= {"lang", "charset", "class"}


def test_json_is_versioned_and_holds_every_record():
    document = json.loads(to_json(RECORDS))
    assert (document["format"], document["version"]) == ("goose-py session export", 1)
    assert document["session"] == {
        "session_id": "s1",
        "title": "Mend the *parser*. # not a heading [picture, image/png]",
        "model": {"provider": "test", "model": "tester", "effort": None},
        "started_at": RECORDS[0].at,
        "ended_at": RECORDS[-1].at,
        "program": "1.0",
    }
    assert document["usage"]["cost"] == 0.25 and document["usage"]["cache_read_tokens"] == 30
    assert [record["seq"] for record in document["records"]] == [record.seq for record in RECORDS]
    assert document["records"][5]["event"]["message"]["parts"][0]["signature"] == "SIGNATURE"


@pytest.mark.parametrize("export", [to_markdown, to_html, lambda records, redact: to_json(records, redact).decode()])
def test_a_secret_is_in_no_export(export):
    secret, token = "correct-horse-battery", "ghp_" + "a1B2" * 9
    records = numbered(
        [
            ev.SessionStarted(session_id="s", workspace=f"/w/{secret}", model=MINE),
            prompt(f"use {secret}"),
            replied(f"I use {token}", ToolCall(id="a", name="shell", arguments={secret: [f"echo {secret}"]})),
            finished("a", f"{secret}\n{token}"),
            ev.TitleSet(title=secret),
        ]
    )
    text = export(records, redactor([secret]))
    assert secret not in text and token not in text and "[redacted]" in text


@given(logs())
@settings(max_examples=50, deadline=None)
def test_every_log_can_be_exported(records):
    assert to_markdown(records) and to_html(records) and json.loads(to_json(records))
    for block in blocks(records):
        assert "\n" not in block.heading


def test_an_empty_log_is_an_empty_document():
    assert to_markdown([]).startswith("# Session\n")
    assert json.loads(to_json([]))["session"]["started_at"] is None


@pytest.mark.parametrize(
    ("events", "title"),
    [
        ([], ""),
        ([prompt("  first\n line "), prompt("second")], "first line"),
        ([prompt("first"), ev.TitleSet(title="named")], "named"),
        ([ev.SessionStarted(session_id="s", workspace="/", model=MINE, title="given"), prompt("first")], "given"),
        ([ev.PromptReceived(prompt_id="p", parts=(PICTURE,))], "[picture, image/png]"),
        ([ev.PromptReceived(prompt_id="p", parts=(Text("x" * 200),))], "x" * 80),
    ],
)
def test_the_title_is_the_last_one_given_or_the_first_prompt(events, title):
    assert title_of(numbered(events)) == title
