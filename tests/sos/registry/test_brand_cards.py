"""What a brand asks otherwise than the house: on its own cars' cards, and refused at the start where it may not."""

from importlib import resources
from pathlib import Path

import msgspec
import pytest

from routing.kinds import EmergencyKind
from sos.app import running
from sos.errors import Misconfigured
from sos.incident.model import TenantId
from sos.registry.pack import ask, configured, open_cards
from sos.settings import Settings, TenantSettings
from tests.ports import free_port
from tests.sos.registry.test_command_line import PACKS

WRONG_QUESTION = """
[[cards.further]]
id = "fire"
kinds = ["crash"]
category = "OBS"
form = "yes_no"
ask = { ja = "火は", en = "Fire?" }
told = { ja = "火", en = "Fire" }
"""


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ('[cards.words.weather]\nja = "天気は"\nen = "Rain?"\n', "brand pack demo: .*asks no weather"),
        (WRONG_QUESTION, "brand pack demo: .*fire stands twice"),
        (WRONG_QUESTION.replace('"fire"', '"own"', 1).replace("OBS", "LOC"), "PER, MED or OBS"),
        ('[cards]\nleave_out = ["fire"]\n', "leave_out"),
    ],
)
def test_a_brand_that_asks_what_it_may_not_stops_the_start(tmp_path: Path, added: str, said: str):
    plain = (PACKS / "demo.toml").read_text().partition("# Questions of the house")
    rest = plain[2].partition("[[legal_texts]]")
    (tmp_path / "demo.toml").write_text(f"{plain[0]}{added}\n[[legal_texts]]{rest[2]}")

    with pytest.raises(Misconfigured, match=said):
        ask(configured(tmp_path, ()), open_cards(""))


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [('category = "OBS"', 'category = "AUD"', "PER, MED or OBS"), ("[[question]]", "[[questions]]", "questions")],
)
async def test_a_wrong_card_of_the_house_stops_the_start(tmp_path: Path, before: str, after: str, said: str):
    house = (resources.files("routing.cards") / "house.toml").read_text(encoding="utf-8")
    (tmp_path / "cards.toml").write_text(house.replace(before, after, 1))
    told = msgspec.structs.replace(_settings(tmp_path), question_cards=str(tmp_path / "cards.toml"))

    with pytest.raises(Misconfigured, match=f"question_cards: .*{said}"):
        async with running(told):
            pass


async def test_the_service_does_not_start_with_a_brand_that_asks_what_it_may_not(tmp_path: Path):
    (tmp_path / "packs").mkdir()
    wrong = '[cards.words.weather]\nja = "天気は"\nen = "Rain?"\n'
    plain, _, rest = (PACKS / "demo.toml").read_text().partition("# Questions of the house")
    (tmp_path / "packs" / "demo.toml").write_text(
        f"{plain}{wrong}\n[[legal_texts]]{rest.partition('[[legal_texts]]')[2]}"
    )

    with pytest.raises(Misconfigured, match="asks no weather"):
        async with running(msgspec.structs.replace(_settings(tmp_path), brand_packs=str(tmp_path / "packs"))):
            pass


async def test_the_service_asks_in_the_words_of_the_brand_and_of_the_house_for_every_other(tmp_path: Path):
    async with running(_settings(tmp_path)) as service:
        demo, other = (service.registry.cards(TenantId(name)) for name in ("demo", "acme"))

    asked = demo.question("fire")
    assert asked is not None
    assert asked.ask.en == "Do you see fire or smoke from your car?"
    assert demo.of(EmergencyKind.BREAKDOWN)[-1].id == "charging"
    assert other == open_cards("")


def _settings(home: Path) -> Settings:
    tenant = TenantSettings(id="demo", domain="demo.sos.example", key_digests=("0" * 64,))
    return Settings(data_dir=str(home / "var"), port=free_port(), tenants=(tenant,))
