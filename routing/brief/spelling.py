"""Digits and letters as they are said one by one on a telephone."""

from routing.brief.language import Language

_LETTERS_EN = (
    "Alfa", "Bravo", "Charlie", "Delta", "Echo", "Foxtrot", "Golf", "Hotel", "India", "Juliett",
    "Kilo", "Lima", "Mike", "November", "Oscar", "Papa", "Quebec", "Romeo", "Sierra", "Tango",
    "Uniform", "Victor", "Whiskey", "X-ray", "Yankee", "Zulu",
)  # fmt: skip
_LETTERS_JA = (
    "エー", "ビー", "シー", "ディー", "イー", "エフ", "ジー", "エイチ", "アイ", "ジェー", "ケー", "エル", "エム",
    "エヌ", "オー", "ピー", "キュー", "アール", "エス", "ティー", "ユー", "ブイ", "ダブリュー", "エックス",
    "ワイ", "ゼット",
)  # fmt: skip
_DIGITS_EN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGITS_JA = ("ゼロ", "イチ", "ニ", "サン", "ヨン", "ゴー", "ロク", "ナナ", "ハチ", "キュー")


def digits(text: str, language: Language) -> str:
    """Digits and letters of ``text`` one by one: letters by name, so that nobody mistakes B for D."""
    figures, letters = (_DIGITS_JA, _LETTERS_JA) if language == "ja" else (_DIGITS_EN, _LETTERS_EN)
    said = [
        figures[int(each)] if each.isdecimal() else letters[ord(each.upper()) - ord("A")]
        for each in text
        if each.isascii() and each.isalnum()
    ]
    return " ".join(said)
