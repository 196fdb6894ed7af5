"""Serialisers of step results: plain data formats only, never pickles or code."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import polars as pl

from shared.usecase.learning import Candidate
from shared.usecase.serving import FloatMatrix

T = TypeVar("T")


class Serializer(Protocol[T]):
    """Writes a value into an empty folder, and reads it again."""

    def save(self, folder: Path, value: T) -> None: ...

    def load(self, folder: Path) -> T: ...


class FrameSerializer:
    """Rows as an Arrow file."""

    def save(self, folder: Path, value: pl.DataFrame) -> None:
        value.write_ipc(folder / "rows.arrow")

    def load(self, folder: Path) -> pl.DataFrame:
        return pl.read_ipc(folder / "rows.arrow")


class MatrixSerializer:
    """Features as a numpy file."""

    def save(self, folder: Path, value: FloatMatrix) -> None:
        np.save(folder / "matrix.npy", value, allow_pickle=False)

    def load(self, folder: Path) -> FloatMatrix:
        matrix: FloatMatrix = np.load(folder / "matrix.npy", allow_pickle=False)
        return matrix


class CandidateSerializer:
    """The files of a candidate, and the rest of it as JSON."""

    def save(self, folder: Path, value: Candidate) -> None:
        for name, content in value.files.items():
            path = folder / "files" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        told = {name: told for name, told in asdict(value).items() if name != "files"}
        (folder / "candidate.json").write_text(json.dumps({**told, "files": list(value.files)}))

    def load(self, folder: Path) -> Candidate:
        content: dict[str, Any] = json.loads((folder / "candidate.json").read_text())
        files = {name: (folder / "files" / name).read_bytes() for name in content["files"]}
        return Candidate(
            **{
                **content,
                "files": files,
                "components": tuple(content["components"]),
                "feature_names": tuple(content["feature_names"]),
            }
        )


class JsonSerializer:
    """Whatever JSON can say."""

    def save(self, folder: Path, value: Any) -> None:
        (folder / "value.json").write_text(json.dumps(value))

    def load(self, folder: Path) -> Any:
        return json.loads((folder / "value.json").read_text())
