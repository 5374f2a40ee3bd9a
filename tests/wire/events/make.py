"""Makes the samples beside this file: the header of one event of every kind, as ``write_header`` writes it today.

Run ``python -m tests.wire.events.make`` from the root of the repository for a new kind or version.  Samples of older
versions stay: what was once in a journal must be readable for ever.
"""

from collections.abc import Mapping
from pathlib import Path

from sos.incident import commands as c
from sos.incident.codec import write_header
from sos.incident.events import VERSIONS
from sos.incident.model import Disposition
from tests.journeys import story as s

HERE = Path(__file__).resolve().parent


def samples() -> Mapping[str, bytes]:
    """File name -> header bytes."""
    told = s.Story(0xE)
    for command in (
        s.open_incident(readable=False),
        s.file_report(),
        s.plan(),
        s.offer("desk-a"),
        c.PassDeadline(name="ring_all"),
        s.take(),
        s.invite(),
        s.join(),
        s.start_recording(),
        s.read_parts(),
        s.note(),
        s.release(),
        s.take("jiro"),
        s.disclose(),
        s.start_delivery(),
        s.fail_delivery(),
        s.confirm(),
        s.disclose("d2", s.POLICE),
        s.reject("d2", s.POLICE),
        s.acknowledge(),
        s.report_status(),
        s.leave(),
        s.seal_recording(),
        s.start_recording("rec-2"),
        s.fail_recording("rec-2"),
        c.CloseIncident(disposition=Disposition.HANDED_OVER),
        c.ReopenIncident(reason="called_again"),
        s.export(),
    ):
        told.do(command, actor="operator:hanako", after_s=6)
    first = {type(recorded.event).__name__: recorded for recorded in reversed(told.recorded)}
    return {f"{kind}-{VERSIONS[kind]}.json": write_header(recorded) for kind, recorded in sorted(first.items())}


if __name__ == "__main__":
    for name, header in samples().items():
        (HERE / name).write_bytes(header)
