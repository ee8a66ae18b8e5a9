"""Dates as people write them: which way, and what they say."""

from datetime import datetime

import numpy as np
import pytest

from gpu_thermo.data import dates
from gpu_thermo.errors import DataError

DAYS = [datetime(2025, 12, 31), datetime(2024, 2, 29), datetime(2025, 7, 4)]
FORMS = {
    "%Y-%m-%d": "year-first", "%Y/%m/%d": "year-first", "%Y.%m.%d": "year-first",
    "%d/%m/%Y": "day-first", "%m/%d/%Y": "month-first", "%d.%m.%Y": "day-first", "%m-%d-%Y": "month-first",
    "%d-%m-%Y": "day-first", "%m/%d/%y": "month-first", "%d/%m/%y": "day-first", "%d.%m.%y": "day-first",
    "%d %b %Y": "year-first", "%B %d, %Y": "year-first", "%d-%b-%Y": "year-first",
}  # fmt: skip
TIMES = {
    "": 0,
    " 7:05": 425,
    "T19:05": 1145,
    ", 7:05 PM": 1145,
    " 12:00 AM": 0,
    " 07:05:00.25Z": 425,
    " 7:05+02:00": 425,
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("time", TIMES)
def test_every_way_of_writing(form, time):
    """With every time behind; a missing one stays missing."""
    texts = [day.strftime(form) + time for day in DAYS]
    found = dates.read([*texts, None], "it")
    assert found is not None
    wanted = [np.datetime64(day, "s") + np.timedelta64(TIMES[time], "m") for day in DAYS]
    np.testing.assert_array_equal(found.values[:-1], wanted)
    assert np.isnat(found.values[-1])
    assert found.order == FORMS[form]
    assert bool(found.why) == (FORMS[form] != "year-first")


@pytest.mark.parametrize(
    ("texts", "order", "why"),
    [
        (["01/02/2025", "31/01/2025"], "day-first", "as '31/01/2025' shows"),
        (["01/02/2025", "01/31/2025"], "month-first", "as '01/31/2025' shows"),
        (["01.02.2025", "03.04.2025"], "day-first", "as dates with dots are, '01.02.2025'"),
        (["01/02/2025", "01/03/2025", "01/04/2025"], "day-first", "as the first number is 1 throughout, '01/02/2025'"),
        (["02/01/2025", "03/01/2025", "4/1/2025"], "month-first", "as the second number is 1 throughout, '02/01/2025'"),
    ],
)
def test_which_number_is_the_day(texts, order, why):
    assert dates.read(texts, "it")[1:] == (order, why)


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["31/12/2025", "12/31/2025"], "both orders: '31/12/2025' has the day first, and '12/31/2025' the month"),
        (["01/02/2025", "03/04/2025"], "no day above 12 shows whether"),
        (["2025-12-31", "2025-12-30", "2025-02-30"], "it, row 3: '2025-02-30' is no date \\(such as 2025-12-31"),
        (["31/12/2025", "30/12/2025", "soon"], "it, row 3: 'soon' is no date \\(the day first"),
    ],
)
def test_what_nobody_can_read(texts, said):
    with pytest.raises(DataError, match=said):
        dates.read(texts, "it")


@pytest.mark.parametrize(
    "texts",
    [
        ["red", "blue"], ["1.2.3", "1.2.4"], ["12", "13"], ["20251231"], [], [None], ["10-20-30"], ["May", "June"],
        ["12.30.45", "12.59.10"], ["31-12-25"],
        ["2025-12-31", "soon", "later"], ["25:00", "1/2"], ["12 Foo 2025"], ["1/2/2025 25:00"], ["1/2/2025 13:00 PM"],
    ],
)  # fmt: skip
def test_what_is_no_column_of_dates(texts):
    assert dates.read(texts, "it") is None


def test_asked_for():
    """An order that is given is not doubted, and digits alone may be a date."""
    assert dates.read(["01/02/2025", "03/04/2025"], "it", "month-first").values[0] == np.datetime64("2025-01-02", "s")
    assert dates.read(["20251231"], "it", wanted=True).values[0] == np.datetime64("2025-12-31", "s")
    with pytest.raises(DataError, match="'soon' is no date \\(such as"):
        dates.read(["2025-01-01", "soon", "later"], "it", wanted=True)
    assert dates.read(["12/31/68", "12/31/69"], "it").values.astype("datetime64[Y]").astype(int).tolist() == [98, -1]


def test_dots_say_so_wherever_they_stand():
    """Which text comes first does not matter."""
    mixed = ["1/3/2025", "1.2.2025"]
    for texts in (mixed, mixed[::-1]):
        assert dates.read(texts, "it").why == "as dates with dots are, '1.2.2025'"
