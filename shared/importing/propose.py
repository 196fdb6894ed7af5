"""Proposes a mapping for a file without one: guesses which column is which of ours, each with why.

A column is guessed by its name, else by its values. A guess by values is marked as one to be
checked: a file can hold two columns that are unique, or two of which half the words are yes and no.
"""

import csv
import json
import re
import tempfile
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shared.importing.csv_files import marked_encoding
from shared.importing.files import open_table
from shared.importing.mapping import INSTANTS, REQUIRED, CsvRules, LabelRules, MappingError
from shared.importing.profile import instant_problem, number_problem
from shared.importing.sources import sources
from shared.importing.texts import read_labels, read_texts
from shared.importing.times import read_time_texts
from shared.printable import printable_line
from shared.tasks.labels import LabelWords

_MOST_LABELS = 6
_RARE = 0.5
# Names that exports use for these columns, normalised to lower-case letters and digits.
_NAMES: dict[str, tuple[str, ...]] = {
    "transaction_id": (
        "buchungsnr", "buchungsnummer", "buchungsid", "umsatzid", "vorgangsnummer", "belegnummer",
        "transactionid", "txid", "txnid", "transid", "paymentid", "id", "uuid", "reference", "ref",
        "orderid", "bookingref", "bookingid", "transnum", "guid", "trxid",
    ),
    "user_id": (
        "kundennummer", "kundennr", "kundenid", "kontonummer", "kontonr", "iban", "cust", "custid",
        "acct", "acctid", "userid", "customerid", "customer", "user", "account", "accountid",
        "clientid", "client",
        "card", "cardid", "ccnum", "cardnumber", "nameorig", "cardholder", "accountnumber", "card1",
    ),
    "event_time": (
        "buchungszeit", "buchungszeitpunkt", "buchungsdatum", "zeitpunkt", "zeitstempel", "datum",
        "fecha", "dateheure", "ts", "eventtime", "timestamp", "transactiontime", "transactiondate",
        "txdatetime", "datetime",
        "transdatetranstime", "bookedat", "booked", "bookingdate", "bookingtime", "posted",
        "postedat", "postingdate", "valuedate", "createdat", "created", "date", "time",
        "occurredat",
        "transactiondt", "paidat",
    ),
    "amount": ("amount", "amt", "transactionamount", "txamount", "value", "sum", "total", "betrag",
               "montant", "importe", "transactionamt", "price"),
    "merchant_id": (
        "handler", "haendler", "handlernr", "handlerid", "empfanger", "empfaenger", "commercant",
        "comercio", "mrch", "merch", "mid", "merchantid", "merchant", "terminalid", "terminal",
        "shop", "shopid", "store", "storeid",
        "seller", "namedest", "payee", "beneficiary", "vendor", "counterparty",
    ),
    "currency": ("currency", "ccy", "currencycode", "waehrung", "wahrung", "devise", "moneda"),
    "transaction_type": ("transactiontype", "type", "txtype", "kind", "umsatzart", "buchungsart",
                         "vorgangsart"),
    "merchant_category": ("merchantcategory", "mcc", "category", "merchantcategorycode", "branche",
                          "kategorie", "categorie", "categoria"),
    "channel": ("channel", "entrymode", "posentrymode"),
    "country": ("country", "countrycode", "merchantcountry", "land", "pays", "pais"),
    "lat": ("lat", "latitude", "merchlat", "merchantlat"),
    "lon": ("lon", "lng", "long", "longitude", "merchlong", "merchantlon"),
    "home_lat": ("homelat", "homelatitude", "customerlat"),
    "home_lon": ("homelon", "homelongitude", "customerlon", "customerlong"),
    "device_id": ("deviceid", "device", "deviceinfo", "fingerprint"),
    "utc_offset_min": ("utcoffset", "utcoffsetmin", "tzoffset"),
    "ingested_at": ("ingestedat", "receivedat", "loadedat", "insertedat"),
    "label": ("label", "class", "target", "isbad"),
    "label_known_at": ("labelknownat", "confirmedat", "chargebackdate", "reportedat"),
    "label_source": ("labelsource", "confirmedby"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Guess:
    """One of our columns, the column it may be, and why."""

    ours: str
    theirs: str
    why: str


def _guesses_of(sample: pl.DataFrame, words: LabelWords) -> list[Guess]:
    """The guesses for the columns of a sample."""
    free = list(sample.columns)
    guesses: list[Guess] = []
    names_of = {**_NAMES, "label": (*words.columns, *_NAMES["label"])}
    for ours, names in names_of.items():
        theirs = _by_name(free, names)
        if theirs is not None:
            why = _doubt(ours, sample[theirs], words) or "by its name"
            guesses.append(Guess(ours, theirs, why))
            free.remove(theirs)
    taken = {guess.ours for guess in guesses}
    for ours in ("label", "event_time", "transaction_id"):
        if ours not in taken:
            guesses += _by_values(ours, sample, free, words)
    return guesses


def _by_name(free: Sequence[str], names: Sequence[str]) -> str | None:
    plain = {_plain(column): column for column in reversed(free)}
    found = next((plain[name] for name in names if name in plain), None)
    if found is not None:
        return found
    long = [name for name in names if len(name) > 4]
    return next((plain[column] for column in plain if column.endswith(tuple(long))), None)


def _plain(column: str) -> str:
    """Small letters and digits only; accents are taken off."""
    bare = unicodedata.normalize("NFKD", column).lower()
    return re.sub(r"[^a-z0-9]", "", bare)


def _by_values(ours: str, sample: pl.DataFrame, free: list[str], words: LabelWords) -> list[Guess]:
    """The one column whose values look like ours; nothing where there are several, or none."""
    found = [column for column in free if _looks_like(ours, sample[column], words)]
    if len(found) != 1:
        return []
    free.remove(found[0])
    shown = read_texts(sample[found[0]], is_identifier=True, is_numeric=True).drop_nulls()
    examples = ", ".join(shown.unique(maintain_order=True).head(2).to_list())
    return [Guess(ours, found[0], f"by its values ({examples}), not by a name: check it")]


def _looks_like(ours: str, column: pl.Series, words: LabelWords) -> bool:
    texts = read_texts(column, is_identifier=True, is_numeric=True).drop_nulls()
    if texts.is_empty():
        return False
    distinct = texts.n_unique()
    if ours == "label":
        labels, unreadable = read_labels(column, _label_rules(words))
        shares = labels.drop_nulls()
        is_rare = 0 < (shares == 1).sum() < _RARE * max(len(shares), 1)
        return distinct <= _MOST_LABELS and not unreadable.any() and is_rare
    if ours == "event_time":
        return distinct > 1 and instant_problem(column) is None
    is_id = column.dtype == pl.String or column.dtype.is_integer()
    if not is_id or _are_mostly_times(texts):
        return False
    return len(texts) == len(column) and distinct == len(texts) > 1


def _are_mostly_times(texts: pl.Series) -> bool:
    read = read_time_texts(texts, "day first").naive_us
    return 2 * read.null_count() < len(texts)


def _doubt(ours: str, column: pl.Series, words: LabelWords) -> str | None:
    """The contradiction between values and name, if there is one."""
    texts = read_texts(column, is_identifier=True, is_numeric=True).drop_nulls()
    if texts.is_empty():
        return "by its name; it is empty in the first rows"
    if ours == "transaction_id" and texts.n_unique() < len(texts):
        return "by its name, BUT its values repeat: rows with one id count once"
    problem = None
    if ours in INSTANTS:
        problem = instant_problem(column)
    elif ours == "amount":
        problem = number_problem(column)
    if problem is not None:
        return f"by its name, BUT {problem}"
    if ours == "label" and read_labels(column, _label_rules(words))[1].any():
        return "by its name, BUT some values are not known words: see [labels]"
    return None


def _label_rules(words: LabelWords) -> LabelRules:
    return LabelRules(also_positive=words.positive, also_negative=words.negative)


_SAMPLE_ROWS = 2_000
_HEAD_BYTES = 64 * 1024
_PARQUET = b"PAR1"
_ENCODINGS = ("utf8", "cp1252")


def propose(path: Path, words: LabelWords) -> tuple[str, list[Guess], list[str]]:
    """The text of a mapping, its guesses, and what a person has to fill in.

    Raises:
        MappingError: nothing in it looks like a table.
        DataUnavailable: the file cannot be read.
    """
    with tempfile.TemporaryDirectory(prefix="understudy-mapping-") as place:
        source = sources([path])[0]
        with source.opened(Path(place)) as file:
            rules = csv_rules(file)
            sample = _sample(file, source.name, rules, Path(place))
    guesses = _guesses_of(sample, words)
    taken = {guess.ours for guess in guesses}
    missing = [name for name in REQUIRED if name not in taken]
    return _toml(path, rules, sample, guesses, missing), guesses, missing


def csv_rules(path: Path) -> CsvRules:
    """The format of a file, guessed from its first lines; a Parquet file needs none."""
    head = _head(path)
    if head[:4] == _PARQUET:
        return CsvRules()
    marked = marked_encoding(head)
    guessed = next((name for name in _ENCODINGS if _decodes(head, name)), "cp1252")
    encoding = CsvRules().encoding if marked else guessed
    lines = head.decode(marked or encoding, "replace").splitlines()[:50]
    try:
        delimiter = csv.Sniffer().sniff("\n".join(lines), ",;\t|").delimiter
    except csv.Error:
        delimiter = max(",;\t|", key=lines[0].count) if lines else ","
    return CsvRules(delimiter=delimiter, encoding=encoding)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _decodes(head: bytes, encoding: str) -> bool:
    try:
        # the last character may be incomplete
        head[:-4].decode(encoding) if len(head) > 4 else head.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _sample(path: Path, name: str, rules: CsvRules, place: Path) -> pl.DataFrame:
    with open_table(path, name, rules, place) as table:
        columns = table.column_names()
        twice = sorted({column for column in columns if columns.count(column) > 1})
        if twice:
            raise MappingError(f"{name}: column {twice[0]!r} is there more than once; rename one")
        for piece in table.pieces(columns):
            return piece.frame.head(_SAMPLE_ROWS)
    raise MappingError(f"{name} holds no rows")


def _toml(
    path: Path, rules: CsvRules, sample: pl.DataFrame, guesses: list[Guess], missing: list[str]
) -> str:
    lines = [
        f"# A proposal for {path.name}: check every line, then",
        f"#   understudy import {path.name} --mapping THIS --dry-run",
        "# Left: the column here. Right: the column of the file.",
        "[columns]",
    ]
    lines += [
        f"{guess.ours} = {_quoted(guess.theirs)}  # {printable_line(guess.why)}"
        for guess in guesses
    ]
    lines += [f'# {name} = "?"  # needed: which column is it?' for name in missing]
    used = {guess.theirs for guess in guesses}
    unused = [column for column in sample.columns if column not in used]
    if unused:
        lines.append(f"# not used: {', '.join(_quoted(column) for column in unused)}")
    lines += [
        "",
        "[time]",
        'zone = "UTC"  # of times that name none: is that right?',
        'label_delay = "7d"  # a label becomes known this long after the event',
    ]
    if rules != CsvRules():
        lines += ["", "[csv]"]
        lines.append(f"delimiter = {_quoted(rules.delimiter)}")
        lines.append(f"encoding = {_quoted(rules.encoding)}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A text as TOML writes it; JSON's texts are TOML's."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
