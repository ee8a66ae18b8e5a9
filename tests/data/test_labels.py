"""Which task a target column makes, and its classes."""

import pytest
from data_cases import column, read


@pytest.mark.parametrize(
    ("values", "task", "classes"),
    [
        ([0, 1, 1, 0], "binary", ("0", "1")),
        ([-1, 1, 1.0, "1.00"], "binary", ("-1", "1")),
        (["yes", "no", "no", "yes"], "binary", ("no", "yes")),
        (["b", "a", "c"] * 4, "multiclass", ("a", "b", "c")),
        ([10, 9, 2] * 5, "multiclass", ("2", "9", "10")),
        ([10, 9, 2] * 4, "regression", ()),  # 12 rows for three whole numbers: fewer than five rows each
        (list(range(21)) * 10, "regression", ()),
        (list(range(20)) * 10, "multiclass", tuple(map(str, range(20)))),
        ([0.5, 1.5, 0.5, 1.5], "regression", ()),
        (["1", "2", "x", "x", "1", "2"], "multiclass", ("1", "2", "x")),
    ],
)
def test_csv_task_auto(tmp_path, values, task, classes):
    """The documented rules."""
    data = read(tmp_path, column(values))
    assert (data.task, data.classes) == (task, classes)


def test_csv_task_can_be_named(tmp_path):
    """Naming the task overrides the rules."""
    two = column([0, 1, 1, 0])
    assert read(tmp_path, two, task="regression").task == "regression"
    assert read(tmp_path, two, task="multiclass").outputs == 2
    assert read(tmp_path, column([0.5, 2.5, 0.5]), task="binary").classes == ("0.5", "2.5")
    assert read(tmp_path, column(range(30)), task="multiclass").outputs == 30
    names = [f"n{i}" for i in range(30)]
    assert read(tmp_path, column(names), task="multiclass").classes == tuple(sorted(names))
