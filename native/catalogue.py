"""Every part there is, so that one place can list, report and switch them."""

from typing import Annotated

from pydantic import AfterValidator

from native.parts import ALL, Part, unknown_names

COMPILE_CACHE = Part(
    "compile-cache",
    tested={"numba": ("0.68",)},
    without="every process compiles its functions at each start instead of loading them",
)

PARTS: tuple[Part, ...] = (COMPILE_CACHE,)


def states() -> dict[str, bool]:
    """Whether each part that this process has needed is in use."""
    return {part.name: part.in_use for part in PARTS if part.was_checked}


def _known(switch: str) -> str:
    names = [part.name for part in PARTS]
    unknown = unknown_names(switch, names)
    if unknown:
        raise ValueError(
            f"no part is named {', '.join(unknown)}; there are {ALL}, {', '.join(names)}"
        )
    return switch


PartNames = Annotated[str, AfterValidator(_known)]
"""The type of the setting NATIVE_PARTS_OFF."""
