import numpy as np
import pandas as pd
import pytest

from tsad.data.io.time_options import TimeOptions
from tsad.data.io.times import to_times


def moments(cells, **form):
    return (
        to_times(pd.Series(cells, name="at"), "load.csv", TimeOptions(**form))
        .astype("datetime64[s]")
        .astype(str)
        .tolist()
    )


@pytest.mark.parametrize(
    ("cell", "form", "moment"),
    [
        ("2024-03-01 04:05:06", {}, "2024-03-01T04:05:06"),
        ("2024-03-01T04:05:06.25", {}, "2024-03-01T04:05:06"),
        ("2024-03-01", {}, "2024-03-01T00:00:00"),
        ("2024-03-01T04:05:06Z", {}, "2024-03-01T04:05:06"),
        ("2024-03-01T04:05:06+01:00", {}, "2024-03-01T03:05:06"),
        ("3/4/2024 05:06", {"day_first": True}, "2024-04-03T05:06:00"),
        ("3/4/2024 05:06", {"day_first": False}, "2024-03-04T05:06:00"),
        ("2024/4/3 05:06", {}, "2024-04-03T05:06:00"),
        ("2024.04.03", {}, "2024-04-03T00:00:00"),
        ("31/5/2024", {}, "2024-05-31T00:00:00"),
        ("5-31-2024", {}, "2024-05-31T00:00:00"),
        ("03.04.24 05h06", {"time_format": "%d.%m.%y %Hh%M"}, "2024-04-03T05:06:00"),
        (20240403, {"time_format": "%Y%m%d"}, "2024-04-03T00:00:00"),
        (1_709_266_706, {}, "2024-03-01T04:18:26"),
        (1_709_266_706.5, {}, "2024-03-01T04:18:26"),
        (1_709_266_706_500, {}, "2024-03-01T04:18:26"),
        (1_709_266_706_500_000, {}, "2024-03-01T04:18:26"),
        (1_709_266_706_500_000_000, {}, "2024-03-01T04:18:26"),
        (90, {"time_format": "s"}, "1970-01-01T00:01:30"),
        ("2024-07-01 12:00", {"time_zone": "Europe/Berlin"}, "2024-07-01T10:00:00"),
        ("2024-07-01 12:00", {"time_zone": "UTC+02:00"}, "2024-07-01T10:00:00"),
        (1_709_266_706, {"time_format": "s", "time_zone": "UTC+01:00"}, "2024-03-01T03:18:26"),
    ],
)
def test_a_moment_is_read_in_every_form(cell, form, moment):
    assert moments([cell], **form) == [moment]


def test_an_hour_that_occurs_twice_is_two_hours():
    clock = ["2024-10-27 01:00", "2024-10-27 02:00", "2024-10-27 02:00", "2024-10-27 03:00"]
    utc = ["2024-10-26T23:00:00", "2024-10-27T00:00:00", "2024-10-27T01:00:00", "2024-10-27T02:00:00"]
    assert moments(clock, time_zone="Europe/Berlin") == utc


def test_nanoseconds_are_kept():
    (found,) = to_times(pd.Series([1_709_266_706_123_456_789], name="at"), "load.csv")
    assert found == np.datetime64("2024-03-01T04:18:26.123456789")
