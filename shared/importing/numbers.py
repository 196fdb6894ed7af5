"""Numbers as exports write them: signs, currencies, decimal commas and thousands.

A column is examined as a whole before one of its values is read, because `1.250` alone may
be one and a quarter or one thousand two hundred and fifty.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Literal

import polars as pl

from shared.importing.mapping import MappingError, NumberRules
from shared.importing.texts import strip

Mark = Literal[".", ","]

# thousands separators: spaces of several widths, and the apostrophes used in Switzerland
_BETWEEN_DIGITS = r"(\d)[\s\x{a0}\x{202f}\x{2009}'\x{2019}_](\d{3})"
_DASHES = r"[\x{2212}\x{2013}]"
_CODE_BEFORE = r"^([+-]?)\s*[A-Za-z]{1,3}\$?\.?\s*([+-]?[\d.,]\S*)$"
_CODE_BEHIND = r"^([+-]?[\d.,]*\d[.,]?)\s*[A-Za-z]{2,3}\.?$"
_NUMBER = r"^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|(?i:inf|infinity))$"
_TIDY = r"^[+-]?[\d.,]*\d[\d.,]*$"
# Texts that stand for a missing number in the exports of pandas, R, Excel, MySQL and others.
MISSING = ("", "-", "nan", "na", "n/a", "#n/a", "null", "none", "\\n", "<na>", "nat", "nil")
# These currencies have three decimals: 1.250 is a price there.
_THOUSANDTHS = frozenset({"BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"})


@dataclass(frozen=True, slots=True)
class NumberStyle:
    """The number format of a column; `thousands` is only read where it separates groups."""

    decimal: Mark = "."
    thousands: str | None = None


PLAIN = NumberStyle()
_US, _EU = NumberStyle(".", ","), NumberStyle(",", ".")

# Kinds of number formats, the most specific first; the sign is removed already.
_KINDS = {
    "plain": r"^\d*$|[eE]",
    "us": r"^\d{1,3}(?:,\d{2,3})*,\d{3}\.\d*$|^\d{1,3}(?:,\d{2,3})+,\d{3}$",
    "eu": r"^\d{1,3}(?:\.\d{2,3})*\.\d{3},\d*$|^\d{1,3}(?:\.\d{2,3})+\.\d{3}$",
    "point": r"^\d*\.(?:\d{0,2}|\d{4,})$|^\d{4,}\.\d{3}$|^0?\.\d{3}$",
    "comma": r"^\d*,(?:\d{0,2}|\d{4,})$|^\d{4,},\d{3}$|^0?,\d{3}$",
    "point_3": r"^[1-9]\d{0,2}\.\d{3}$",
    "comma_3": r"^[1-9]\d{0,2},\d{3}$",
}


def tidy(texts: pl.Series) -> pl.Series:
    """Numbers without blanks, currencies, % and unusual signs; null where the text is empty."""
    # most texts need no normalisation
    rest = (~texts.str.contains(_TIDY)).arg_true()
    return texts.clone().scatter(rest, tidied(texts.gather(rest))) if len(rest) else texts


def tidied(texts: pl.Series) -> pl.Series:
    """The same of texts that may be written in any way."""
    text = strip(pl.col("text")).str.replace_all(_DASHES, "-")
    text = pl.when(text.str.to_lowercase().is_in(MISSING)).then(None).otherwise(text)
    text = text.str.replace(r"^\((.+)\)$", "-${1}")  # accounting notation: (12.50) is -12.50
    text = text.str.replace_all(r"\p{Sc}", "").str.strip_chars()
    text = text.str.replace(r"(\d[.,]?)\s*%$", "${1}")  # 12.5 % is the number 12.5
    text = text.str.replace(_CODE_BEFORE, "${1}${2}").str.replace(_CODE_BEHIND, "${1}")
    text = text.str.replace(r"^([^+-]*\d[.,]?)\s*([+-])$", "${2}${1}")
    text = text.str.replace(r"^([+-])\s+", "${1}")
    for _ in range(2):  # matches do not overlap: 1 234 567 needs a second pass
        text = text.str.replace_all(_BETWEEN_DIGITS, "${1}${2}")
    return pl.DataFrame({"text": texts}).select(text).to_series()


def read_numbers(texts: pl.Series, style: NumberStyle) -> pl.Series:
    """Values of texts in one style; null where a text is missing or no number."""
    text = pl.col("text")
    if style.thousands is not None:
        mark, point = _escaped(style.thousands), _escaped(style.decimal)
        grouped = rf"^[+-]?\d{{1,3}}(?:{mark}\d{{2,3}})*{mark}\d{{3}}(?:{point}\d*)?$"
        bare = text.str.replace_all(style.thousands, "", literal=True)
        text = pl.when(text.str.contains(grouped)).then(bare).otherwise(text)
    if style.decimal == ",":
        swapped = text.str.replace(",", ".", literal=True)
        text = pl.when(text.str.contains(".", literal=True)).then(pl.lit("?")).otherwise(swapped)
    value = pl.when(text.str.contains(_NUMBER)).then(text).cast(pl.Float64, strict=False)
    return pl.DataFrame({"text": tidy(texts)}).select(value).to_series()


def writings(texts: pl.Series) -> Counter[str]:
    """The frequency of each number format, the evidence for `decide_style`."""
    bare = tidy(texts).str.strip_chars("+-").drop_nulls()
    kind = pl.coalesce(
        [pl.when(pl.col("text").str.contains(form)).then(pl.lit(name)) for name, form in
         _KINDS.items()]
        + [pl.lit("other")]
    )  # fmt: skip
    counted = pl.DataFrame({"text": bare}).select(kind.alias("kind"))["kind"].value_counts()
    return Counter(dict(counted.iter_rows()))


def decide_style(
    found: Counter[str], rules: NumberRules, source: str, currency: str | None
) -> NumberStyle:
    """The style of a column of amounts.

    Raises:
        MappingError: its values can be read in two ways that differ by a factor of a thousand.
    """
    if rules.decimal is not None or rules.thousands is not None:
        return NumberStyle(rules.decimal or (".", ",")[rules.thousands == "."], rules.thousands)
    american, european = found["us"] + found["point"], found["eu"] + found["comma"]
    if american and not european:
        return _US
    if european and not american:
        return _EU
    if american or currency in _THOUSANDTHS:
        return PLAIN
    for kind, mark, other in (("point_3", ".", ","), ("comma_3", ",", ".")):
        if found[kind]:
            raise MappingError(
                f"column {source!r}: all {found[kind]:,} numbers with a {mark!r} have exactly "
                f"three digits behind it, so 1{mark}250 may be 1.25 or 1250; write "
                f'thousands = "{mark}" (or decimal = "{mark}", thousands = "{other}") '
                "under [numbers] in the mapping"
            )
    return PLAIN


def _escaped(mark: str) -> str:
    return "\\" + mark
