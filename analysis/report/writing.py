"""A report as a file."""

from collections.abc import Sequence
from pathlib import Path

from gpu_thermo.errors import StoreExistsError
from gpu_thermo.study.birth import is_study
from gpu_thermo_analysis.baselines import Score
from gpu_thermo_analysis.drawing import NotWrittenError

from .runs import run_report
from .studies import study_report


def write_report(
    store: str | Path, path: str | Path, *, overwrite: bool = False, scores: Sequence[Score] | None = None,
    said: Sequence[str] = (),
) -> Path:  # fmt: skip
    """Write the report of a run or a study, and return where.

    Parameters
    ----------
    store : the run or study. path : a file that ends in .html. overwrite : replace it. scores : of the run and its
    baselines, where they are known already. said : the verdict in words of one's own.

    Raises
    ------
    StoreExistsError, NotWrittenError
        The file is there, or cannot be written. StoreError : there is no such run, or it is damaged.
    """
    store, path = Path(store), Path(path)
    if path.exists() and not overwrite:
        raise StoreExistsError(f"'{path}' exists already. Choose another name, or ask for it to be replaced.")
    text = study_report(store) if is_study(store) else run_report(store, scores, said)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise NotWrittenError(f"{path} cannot be written ({error.strerror}).") from None
    return path
