"""Text of data made safe to print: one visible character for each that a terminal would obey."""

import re

# C0 and C1 controls except line breaks; line separators; bidirectional and invisible marks.
_OBEYED = (
    *range(0x0A),
    *range(0x0B, 0x20),
    *range(0x7F, 0xA0),
    0x061C,
    *range(0x200E, 0x2010),
    *range(0x2028, 0x202F),
    *range(0x2066, 0x206A),
    0xFEFF,
    # surrogates: not encodable in UTF-8, so printing them would fail
    *range(0xD800, 0xE000),
)
_DELETE, _UNKNOWN, _PICTURES = 0x7F, "\ufffd", 0x2400
_SHOWN = {code: chr(_PICTURES + code) if code < 0x20 else _UNKNOWN for code in _OBEYED}
_SHOWN[_DELETE] = "\u2421"
_ANY = re.compile("[" + "".join(f"\\u{code:04x}" for code in _OBEYED) + "]")


def printable(text: str) -> str:
    """The text with a picture or U+FFFD for every character that a terminal would act on.

    Line breaks stay, and every other character does: as many go out as come in.
    """
    return text.translate(_SHOWN) if _ANY.search(text) else text


def printable_line(text: str) -> str:
    """The same on one line, so that a value cannot pass for a line of its own."""
    return printable(text).replace("\n", "\u240a")
