"""Deeds: what changes anything, each asked for with the operator's token and a person's name.

A deed declares its fields; the form, the checks and the call of the API follow from that. The token
is typed for each deed and kept nowhere.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from console.api_client import Api, Operator
from shared.errors import UnderstudyError

SHORTEST_REASON, LONGEST_REASON = 3, 500
_PERSON = re.compile(r"[^\W_][\w .@'-]{0,63}")
_MAX_TOKEN = 256


class FormRefused(UnderstudyError):
    """Raised when a form cannot be carried out as it was filled in; names the field."""


@dataclass(frozen=True, slots=True)
class FormField:
    """One field beside the name, the reason and the token.

    Attributes:
        choices: what can be chosen, value and text; empty: text is typed.
        default: what stands in the field at first.
    """

    name: str
    label: str
    choices: Sequence[tuple[str, str]] = ()
    default: str = ""
    is_required: bool = True
    longest: int = 128


@dataclass(frozen=True, slots=True)
class Filled:
    """A form as it was filled in."""

    reason: str
    values: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        return self.values.get(name, "")


@dataclass(frozen=True, slots=True)
class Deed:
    """Something that changes what is served or scheduled.

    Attributes:
        name: in the address: POST /deeds/NAME.
        fields: names and limits of its fields; choices are set by the page that shows the form.
        warning: what it costs, shown above its button.
        command: of the command line, that does the same.
        carry_out: does it and returns one sentence of what is so now.
    """

    name: str
    button: str
    fields: Sequence[FormField]
    warning: str
    command: str
    carry_out: Callable[[Api, Operator, Filled], str]
    needs_reason: bool = True
    is_severe: bool = False


def read_form(deed: Deed, form: Mapping[str, str]) -> tuple[Operator, Filled]:
    """The person and the change that a form asks for.

    Raises:
        FormRefused: a field is missing or cannot be used; names it.
    """
    person = " ".join(form.get("person", "").split())
    if _PERSON.fullmatch(person) is None:
        raise FormRefused(
            "your name: write 1 to 64 letters, digits, blanks or . @ ' - ; it goes into the trail"
        )
    token = form.get("token", "").strip()
    if not token or len(token) > _MAX_TOKEN or not token.isascii() or not token.isprintable():
        raise FormRefused("operator's token: paste what `understudy token operator` prints")
    reason = " ".join(form.get("reason", "").split())
    if deed.needs_reason and not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
        raise FormRefused(f"reason: write {SHORTEST_REASON} to {LONGEST_REASON} characters")
    values = {field.name: _value(field, form) for field in deed.fields}
    return Operator(token, person), Filled(reason, values)


def _value(field: FormField, form: Mapping[str, str]) -> str:
    value = form.get(field.name, "").strip()
    if field.is_required and not value:
        raise FormRefused(f"{field.label}: fill this in")
    if len(value) > field.longest or not value.isprintable():
        raise FormRefused(f"{field.label}: at most {field.longest} printable characters")
    return value
