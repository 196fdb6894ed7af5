"""The words for labels: those that databases and people use, and those of a use case."""

from dataclasses import dataclass

# yes and no, true and false in English, German, French, Spanish and Italian
POSITIVE = (
    "1", "true", "t", "y", "yes", "positive", "bad",
    "ja", "oui", "si", "s\u00ed", "s\u00ec", "wahr", "vrai", "verdadero", "vero",
)  # fmt: skip
NEGATIVE = (
    "0", "false", "f", "n", "no", "negative", "good",
    "nein", "non", "falsch", "faux", "falso",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelWords:
    """The words for labels in a use case's exports, and their column."""

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()

    def label_of(self, word: str) -> int | None:
        """1 or 0, whatever its case and the blanks around it; None: not a word for a label."""
        said = " ".join(word.split()).lower()
        if said in (*POSITIVE, *self.positive):
            return 1
        return 0 if said in (*NEGATIVE, *self.negative) else None

    @property
    def told(self) -> str:
        """The use case's own words, for people."""
        return ", ".join((*self.positive, *self.negative))
