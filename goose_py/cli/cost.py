"""`goose-py cost`: what was spent."""

import time
from collections import defaultdict

import click


@click.command()
@click.option("--days", default=7, show_default=True, help="How many days back.")
def cost(days: int) -> int:
    """What was spent, by day and by task. A ≥ marks sums in which some model's price is not known."""
    from goose_py.bootstrap.host import Host
    from goose_py.protocol.safe_text import safe_text
    from goose_py.session.log import read_log
    from goose_py.tasks.spending import spending_by_day
    from goose_py.tasks.summary import summary_of

    host = Host.here()
    oldest = host.now() - days * 86400
    totals: dict[str, float] = defaultdict(float)
    incomplete: set[str] = set()
    rows: list[tuple[str, str]] = []
    for folder in host.tasks.all():
        summary = summary_of(folder)
        if summary.updated_at < oldest or not summary.usage.context_tokens:
            continue
        for day in spending_by_day(read_log(folder.path).records, oldest):
            totals[day.day] += day.cost
            if not day.complete:
                incomplete.add(day.day)
        cached = summary.usage.cache_read_tokens
        tokens = f"{summary.usage.input_tokens + cached:>10,} in ({cached:,} cached) {summary.usage.output_tokens:>8,} out"
        rows.append((f"${summary.cost:.4f} {tokens}", f"{summary.task_id}  {summary.title}"))
    for day_name in sorted(totals):
        mark = "≥" if day_name in incomplete else " "
        print(f"{day_name}  {mark}${totals[day_name]:.4f}")
    for amount, name in rows:
        print(safe_text(f"{amount}  {name}".replace("\n", " ")))
    if not rows:
        print(f"Nothing was spent since {time.strftime('%Y-%m-%d', time.localtime(oldest))}.")
    return 0
