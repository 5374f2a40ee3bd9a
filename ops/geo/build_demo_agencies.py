"""Write routing/data/demo_agencies.toml: invented agencies, two for each prefecture of the shipped boundary layer.

Every name begins with 架空 (imaginary) or "Demo" and every telephone number is invented.

    python -m ops.geo.build_demo_agencies
"""

import tomllib
from pathlib import Path

from routing.boundaries import PrefectureLayer
from routing.directory import Directory

OUT = Path(__file__).resolve().parents[2] / "routing" / "data" / "demo_agencies.toml"

INLAND = {"JP-09", "JP-10", "JP-11", "JP-19", "JP-20", "JP-21", "JP-25", "JP-29"}
"""Prefectures without a coast."""

EXERCISE_PARTNERS = {"JP-13", "JP-18"}

HEAD = """\
# Invented agencies for demonstrations and tests, made by ops/geo/build_demo_agencies.py.
# No such body exists, and the telephone numbers are invented: never add a real agency to this file.
name = "demo-agencies"
"""


def row(
    agency: str, service: str, name_ja: str, name_en: str, jurisdiction: list[str] | str, *, line: int, partner: bool
) -> str:
    places = '"default"' if jurisdiction == "default" else "[" + ", ".join(f'"{code}"' for code in jurisdiction) + "]"
    return (
        f'\n[[agency]]\nid = "{agency}"\nservice = "{service}"\nname_ja = "{name_ja}"\nname_en = "{name_en}"\n'
        f"jurisdiction = {places}\n"
        + ("exercise_partner = true\n" if partner else "")
        + f'channels = {{ portal = {{}}, voice = {{ number = "+81355500{100 + line}" }} }}\n'
    )


def main() -> None:
    layer = PrefectureLayer.load()
    rows = []
    for line, code in enumerate(layer.codes, start=1):
        ja, en = layer.names[code]
        stem = ja if ja == "北海道" else ja[:-1]
        for service, body_ja, body_en, offset in (
            ("fire", "消防本部", "Fire and Ambulance Headquarters", 0),
            ("police", "警察本部", "Police Headquarters", 50),
        ):
            rows.append(
                row(
                    f"{code.lower()}-{service}",
                    service,
                    f"架空{stem}{body_ja}",
                    f"Demo {en} {body_en}",
                    [code],
                    line=line + offset,
                    partner=code in EXERCISE_PARTNERS,
                )
            )
    coast = [code for code in layer.codes if code not in INLAND]
    rows.append(row("jp-marine", "marine", "架空海上保安本部", "Demo Coast Guard", coast, line=48, partner=False))
    for service, ja, en, line in (
        ("fire", "架空全国消防受付", "Demo National Fire and Ambulance Desk", 98),
        ("police", "架空全国警察受付", "Demo National Police Desk", 99),
        ("ambulance", "架空救急医療調整所", "Demo Medical Coordination Desk", 49),
        ("marine", "架空全国海上受付", "Demo National Marine Desk", 50),
    ):
        rows.append(row(f"jp-default-{service}", service, ja, en, "default", line=line, partner=False))
    text = HEAD + "".join(rows)
    tomllib.loads(text)
    Directory.read(text.encode())
    OUT.write_text(text, encoding="utf-8")
    print(f"{OUT.name}: {len(rows)} agencies, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
