"""The operator's handbook speaks of the keys and in the words that are on the screen."""

import json
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = ROOT / "sos" / "console" / "web" / "src"
TEXT = (ROOT / "ops" / "docs" / "ja" / "operator-handbook.md").read_text()
WORDS = list(json.loads((CONSOLE / "ja.json").read_text()).values())


def _keys() -> set[str]:
    """The keys of the desk, and those that a dialog names in brackets on its buttons."""
    desk = re.findall(r'^  \["([^"]+)", "key\.', (CONSOLE / "keys.ts").read_text(), re.MULTILINE)
    dialogs = [key for word in WORDS for key in re.findall(r"\((Enter|Esc)\)$", word)]
    return {key for name in desk for key in name.split(" / ")} | set(dialogs)


def _shown(word: str) -> bool:
    """Whether the screen shows it: whole, with its gaps filled in, as a sentence of it or as its beginning."""
    return any(word in each.replace("。", "：").split("：") or each.startswith(word) for each in WORDS) or any(
        re.fullmatch(_filled(each), word) for each in WORDS
    )


def _filled(each: str) -> str:
    return ".+".join(map(re.escape, re.split(r"\{\w+\}", each)))


def test_each_key_of_the_handbook_is_a_key_of_the_desk():
    assert not sorted(set(re.findall(r"`([^`]+)`", TEXT)) - _keys())


def test_each_key_of_the_desk_is_in_the_handbook():
    assert not sorted(_keys() - set(re.findall(r"`([^`]+)`", TEXT)))


def test_each_word_that_the_handbook_quotes_is_on_the_screen():
    assert not sorted(word for word in set(re.findall(r"「([^」]+)」", TEXT)) if not _shown(word))
