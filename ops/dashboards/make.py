"""The dashboard for Grafana as code: ``python ops/dashboards/make.py`` writes ``sos.json`` beside it.

Panels stand in the order in which somebody looks: can it accept, who waits, is help on its way, what is behind, what
runs out.  ``tests/ops/test_alerts.py`` checks that every figure named here is one that the service gives out.
"""

import json
from pathlib import Path
from typing import Any

PANELS = (
    ("Can accept", "stat", ("sos_ready",), "none"),
    ("Database", "stat", ("sos_database_up",), "none"),
    ("Calls waiting, by state and tenant", "timeseries", ("sum by (state, tenant) (sos_incidents)",), "none"),
    ("Longest wait", "timeseries", ("sos_waiting_oldest_seconds",), "s"),
    ("Desks", "timeseries", ("sum by (state) (sos_desks)",), "none"),
    ("Legs up", "timeseries", ("sos_calls",), "none"),
    *(
        (
            f"{title}: half, nine in ten, 99 in a hundred",
            "timeseries",
            tuple(f"histogram_quantile({q}, sum by (le) (rate({name}_bucket[5m])))" for q in (0.5, 0.9, 0.99)),
            "s",
        )
        for title, name in (
            ("Accept", "sos_accept_seconds"),
            ("Ring", "sos_ring_seconds"),
            ("Answer", "sos_answer_seconds"),
            ("Tell", "sos_tell_seconds"),
            ("Taken over", "sos_taken_over_seconds"),
        )
    ),
    ("Reports a second", "timeseries", ("sum by (durability) (rate(sos_accept_seconds_count[1m]))",), "reqps"),
    ("Readers behind", "timeseries", ("sos_reader_behind",), "none"),
    ("Set aside", "timeseries", ("sos_reader_set_aside",), "none"),
    ("Deadlines late", "timeseries", ("sos_deadline_late_seconds",), "s"),
    ("Published log behind", "timeseries", ("sos_publisher_behind", "sos_log_stopped"), "none"),
    ("Spool", "timeseries", ("sos_spool_reports", "sos_spool_oldest_seconds", "sos_door_spool_reports"), "none"),
    ("Doors", "timeseries", ("sos_doors", "sos_doors_missing"), "none"),
    ("Tasks that died", "timeseries", ("sum by (task) (increase(sos_tasks_died_total[10m]))",), "none"),
    ("Keys missing, categories unreadable", "timeseries", ("sos_keys_missing", "sos_parts_unreadable_total"), "none"),
    ("Recordings that failed", "timeseries", ("increase(sos_recordings_failed_total[10m])",), "none"),
    ("Disk free", "timeseries", ("sos_disk_free_ratio",), "percentunit"),
    ("Certificates end in", "stat", ("sos_certificate_left_seconds",), "s"),
    ("Refused", "timeseries", ("sum by (kind) (rate(sos_access_refused_total[5m]))",), "reqps"),
    ("Events in the journal", "timeseries", ("sos_journal_events",), "none"),
)
"""Title, kind, expressions, unit."""

FILE = Path(__file__).resolve().with_name("sos.json")


def dashboard() -> dict[str, Any]:
    return {
        "uid": "sos",
        "title": "SOS emergency call centre",
        "tags": ["sos"],
        "timezone": "browser",
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "panels": [_panel(number, *panel) for number, panel in enumerate(PANELS)],
    }


def _panel(number: int, title: str, kind: str, expressions: tuple[str, ...], unit: str) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number + 1,
        "title": title,
        "type": kind,
        "datasource": source,
        "gridPos": {"h": 7, "w": 8, "x": number % 3 * 8, "y": number // 3 * 7},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + at), "datasource": source, "expr": expression}
            for at, expression in enumerate(expressions)
        ],
    }


def text() -> str:
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
