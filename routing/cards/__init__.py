"""What an operator asks: a card of questions for each kind of emergency, with a brand's own words and questions."""

from routing.cards.card import (
    MOST_CHARACTERS,
    MOST_NUMBER,
    AnswerChoice,
    Answered,
    AnswerForm,
    BrandCards,
    Cards,
    Feeds,
    ToAsk,
    Wording,
    read_cards,
    shipped,
)

__all__ = [
    "MOST_CHARACTERS",
    "MOST_NUMBER",
    "AnswerChoice",
    "AnswerForm",
    "Answered",
    "BrandCards",
    "Cards",
    "Feeds",
    "ToAsk",
    "Wording",
    "read_cards",
    "shipped",
]
