"""Proposes a mapping for a file nobody has described yet: guesses, each with its reason."""

import codecs
import csv
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shared.importing.files import open_table
from shared.importing.labels import read_labels
from shared.importing.mapping import (
    INSTANTS,
    REQUIRED,
    CsvRules,
    LabelRules,
    MappingError,
)
from shared.importing.numbers import NumberStyle, read_numbers
from shared.importing.sources import sources
from shared.importing.texts import read_texts
from shared.importing.time_texts import read_time_texts
from shared.label_words import LabelWords

_SAMPLE_ROWS = 2_000
_HEAD_BYTES = 64 * 1024
_PARQUET = b"PAR1"
_NEARLY_ALL = 0.95
_ENCODINGS = ("utf8", "cp1252")
# Names that exports give to our columns, in one form: small letters and digits only.
_NAMES: dict[str, tuple[str, ...]] = {
    "transaction_id": (
        "transactionid", "txid", "txnid", "transid", "paymentid", "id", "uuid", "reference", "ref",
        "orderid", "transnum", "guid", "trxid",
    ),
    "user_id": (
        "userid", "customerid", "customer", "user", "account", "accountid", "clientid", "client",
        "card", "cardid", "ccnum", "cardnumber", "nameorig", "cardholder", "accountnumber", "card1",
    ),
    "event_time": (
        "eventtime", "timestamp", "transactiontime", "transactiondate", "txdatetime", "datetime",
        "transdatetranstime", "bookedat", "createdat", "created", "date", "time", "occurredat",
        "transactiondt", "paidat",
    ),
    "amount": ("amount", "amt", "transactionamount", "txamount", "value", "sum", "total", "betrag",
               "montant", "importe", "transactionamt", "price"),
    "merchant_id": (
        "merchantid", "merchant", "terminalid", "terminal", "shop", "shopid", "store", "storeid",
        "seller", "namedest", "payee", "beneficiary", "vendor", "counterparty",
    ),
    "currency": ("currency", "ccy", "currencycode", "waehrung"),
    "transaction_type": ("transactiontype", "type", "txtype", "kind"),
    "merchant_category": ("merchantcategory", "mcc", "category", "merchantcategorycode"),
    "channel": ("channel", "entrymode", "posentrymode"),
    "country": ("country", "countrycode", "merchantcountry"),
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
    guesses = _guesses(sample, words)
    taken = {guess.ours for guess in guesses}
    missing = [name for name in REQUIRED if name not in taken]
    return _toml(path, rules, sample, guesses, missing), guesses, missing


def csv_rules(path: Path) -> CsvRules:
    """How a file is written, guessed from how it begins; a Parquet file needs no rules."""
    head = _head(path)
    if head[:4] == _PARQUET:
        return CsvRules()
    encoding = next((name for name in _ENCODINGS if _decodes(head, name)), "cp1252")
    lines = head.decode(encoding, "replace").splitlines()[:50]
    try:
        delimiter = csv.Sniffer().sniff("\n".join(lines), ",;\t|").delimiter
    except csv.Error:
        delimiter = max(",;\t|", key=lines[0].count) if lines else ","
    return CsvRules(delimiter=delimiter, encoding=encoding)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD_BYTES)


def _decodes(head: bytes, encoding: str) -> bool:
    if head[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return True
    try:
        # a character may be cut off at the end
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


def _guesses(sample: pl.DataFrame, words: LabelWords) -> list[Guess]:
    free = list(sample.columns)
    guesses: list[Guess] = []
    names_of = {**_NAMES, "label": (*words.columns, *_NAMES["label"])}
    for ours, names in names_of.items():
        theirs = _by_name(free, names)
        if theirs is not None:
            why = _doubt(ours, sample[theirs], words) or "by its name"
            guesses.append(Guess(ours, theirs, why))
            free.remove(theirs)
    return guesses


def _by_name(free: Sequence[str], names: Sequence[str]) -> str | None:
    plain = {re.sub(r"[^a-z0-9]", "", column.lower()): column for column in reversed(free)}
    found = next((plain[name] for name in names if name in plain), None)
    if found is not None:
        return found
    long = [name for name in names if len(name) > 4]
    return next((plain[column] for column in plain if column.endswith(tuple(long))), None)


def _doubt(ours: str, column: pl.Series, words: LabelWords) -> str | None:
    """What the values say against the name, if they do."""
    texts = read_texts(column, is_identifier=True, is_numeric=True).drop_nulls()
    if texts.is_empty():
        return "by its name; it is empty in the first rows"
    if ours == "transaction_id" and texts.n_unique() < len(texts):
        return "by its name, BUT its values repeat: rows with one id count once"
    if ours in INSTANTS and column.dtype == pl.String and not _are_times(texts):
        return "by its name, BUT its values need unit, format or day_first under [time]"
    if ours == "amount" and column.dtype == pl.String and not _are_numbers(texts):
        return "by its name, BUT its values are no plain numbers: see [numbers]"
    if ours == "label" and read_labels(column, _label_rules(words))[1].any():
        return "by its name, BUT some values are none of the usual words: see [labels]"
    return None


def _label_rules(words: LabelWords) -> LabelRules:
    return LabelRules(also_positive=words.positive, also_negative=words.negative)


def _are_times(texts: pl.Series) -> bool:
    read = read_time_texts(texts, "day first").naive_us
    return len(read) - read.null_count() >= _NEARLY_ALL * len(read)


def _are_numbers(texts: pl.Series) -> bool:
    read = read_numbers(texts, NumberStyle(".", ","))
    return len(read) - read.null_count() >= _NEARLY_ALL * len(read)


def _toml(
    path: Path, rules: CsvRules, sample: pl.DataFrame, guesses: list[Guess], missing: list[str]
) -> str:
    lines = [
        f"# A proposal for {path.name}: look at every line, then",
        f"#   understudy import {path.name} --mapping THIS --dry-run",
        "# Left: the column here. Right: the column of the file.",
        "[columns]",
    ]
    lines += [f"{guess.ours} = {_quoted(guess.theirs)}  # {guess.why}" for guess in guesses]
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
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'
