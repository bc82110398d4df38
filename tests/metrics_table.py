"""The table of docs/monitoring.md, from the definition: `python -m tests.metrics_table`."""

from actors.metrics.catalogue import CATALOGUE, Metric


def row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |"


def table() -> str:
    head = ["| metric | kind | labels | meaning |", "| --- | --- | --- | --- |"]
    return "\n".join([*head, *map(row, CATALOGUE)])


if __name__ == "__main__":
    print(table())
