import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.data.flow_files import COLUMNS, flow, text, write
from tsad.data.dataset import TypedEvent
from tsad.data.sets import flows as flows_module
from tsad.data.sets.cicddos2019 import CicDdos2019Spec
from tsad.data.sets.flows import read_header
from tsad.errors import DataError
from tsad.spec import parse

HEADS = Path(os.environ.get("TSAD_DATA_DIR", Path(__file__).parents[2] / "../shared/data"))
needs_heads = pytest.mark.skipif(
    not (HEADS / "cicddos2019").is_dir(),
    reason="no cicddos2019/ in TSAD_DATA_DIR, the folder that holds the published files",
)


CUT = "the last line has no end, since the file was cut there; left out (1)"


def load(folder, **keys):
    return parse(CicDdos2019Spec, {"kind": "cicddos2019", **keys}, "data").load(folder)


def column(series, name):
    return series.values[:, series.features.index(name)].tolist()


def every_row(data, name):
    return column(data.train, name) + column(data.test, name)


# --- bins ---


def test_a_bin_counts_sums_and_averages_its_flows(tmp_path):
    flows = [
        flow(0.1, Total__Fwd__Packets=2, Flow__Duration=10, SYN__Flag__Count=1),
        flow(0.9, Total__Fwd__Packets=3, Flow__Duration=30, Protocol=17),
        flow(1.0, Total__Fwd__Packets=7, Flow__Duration=50, Protocol=0),
    ]
    write(tmp_path, flows)
    data = load(tmp_path)
    assert data.train.times.tolist() == [np.datetime64("2018-12-01T10:00:00", "us").item()]
    assert every_row(data, "flows") == [2, 1]
    assert every_row(data, "tcp_flows") == [1, 0]
    assert every_row(data, "udp_flows") == [1, 0]
    assert every_row(data, "total_fwd_packets_sum") == [5, 7]
    assert every_row(data, "syn_flag_count_sum") == [1, 0]
    assert every_row(data, "flow_duration_mean") == [20, 50]
    assert (data.step_seconds, data.continuous, data.defects) == (1.0, True, ())


def test_identities_are_counted_and_weighed_and_are_no_values(tmp_path):
    ports = [1, 1, 1, 1, 2, 2, 3, 4]
    write(tmp_path, [*(flow(0.1, Source__Port=port) for port in ports), flow(1)])
    data = load(tmp_path)
    assert column(data.train, "source_port_distinct") == pytest.approx([4], abs=0.1)
    assert column(data.train, "source_port_entropy") == [1.75]  # 1/2, 1/4, 1/8, 1/8
    assert column(data.train, "destination_ip_distinct") == pytest.approx([1], abs=0.01)
    assert column(data.train, "destination_ip_entropy") == [0]
    write(tmp_path, [*(flow(0.1, Source__Port=port + 5000, Source__IP="9.9.9.9") for port in ports), flow(1)])
    np.testing.assert_allclose(load(tmp_path).train.values, data.train.values, atol=0.1)


def test_thousands_of_different_ports_are_still_many(tmp_path):
    write(tmp_path, [*(flow(0.1, Source__Port=port) for port in range(2000)), flow(1)])
    assert 600 < column(load(tmp_path).train, "source_port_distinct")[0] < 720


@given(order=st.permutations(range(12)), block=st.sampled_from([2**10, 2**11, 2**20]), cut=st.integers(0, 12))
def test_a_bin_does_not_depend_on_the_order_of_flows_blocks_and_files(tmp_path_factory, order, block, cut):
    flows = [
        flow(0.37 * place, Source__Port=place % 5, Total__Fwd__Packets=place, Flow__Duration=place)
        for place in range(12)
    ]
    folder = tmp_path_factory.mktemp("flows")
    write(folder, flows)
    wanted = load(folder)
    write(folder, [flows[place] for place in order[:cut]])
    write(folder, [flows[place] for place in order[cut:]], "DrDoS_LDAP.csv")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(flows_module, "BLOCK", block)
        found = load(folder)
    assert found.digest == wanted.digest


def test_a_bin_is_anomalous_if_one_of_its_flows_is_and_its_attacks_are_named(tmp_path):
    labels = {5: ["BENIGN", "Syn"], 6: ["Syn", "UDP-lag"], 7: ["BENIGN"], 8: ["UDP-lag"]}
    flows = [flow(second) for second in range(5)]
    write(tmp_path, [*flows, *(flow(second, label) for second, names in labels.items() for label in names)], "Syn.csv")
    data = load(tmp_path, test_ratio=4 / 9)
    assert data.test.labels.tolist() == [True, True, False, True]
    assert data.typed_events == (TypedEvent(0, 2, "Syn"), TypedEvent(1, 2, "UDP-lag"), TypedEvent(3, 4, "UDP-lag"))
    assert data.defects == ("Syn.csv: flows are labeled UDP-lag, unlike the file; the label counts (2)",)


def test_training_bins_with_an_attack_are_left_out_with_a_break(tmp_path):
    write(tmp_path, [flow(second, "DrDoS_DNS" if second == 2 else "BENIGN") for second in range(8)])
    data = load(tmp_path)
    assert (len(data.train), data.train.boundaries, len(data.test)) == (3, (2,), 4)
    assert not data.train.labels.any()
    assert data.defects == ("training rows with an attack are left out (1)",)
    everything = load(tmp_path, train="all")
    assert everything.train.labels.tolist() == [False, False, True, False]
    assert everything.defects == everything.train.boundaries == ()


def test_a_short_silence_is_zeros_and_a_long_one_a_break(tmp_path):
    write(tmp_path, [flow(second, Flow__Duration=1) for second in (0, 3, 10, 11)])
    data = load(tmp_path, silence_seconds=4, test_ratio=0.2)
    assert column(data.train, "flows") == [1, 0, 0, 1, 1]
    assert column(data.train, "flow_duration_mean") == [1, 0, 0, 1, 1]
    assert data.train.boundaries == (4,)
    assert [time.second for time in data.train.times.tolist()] == [0, 1, 2, 3, 10]
    assert data.continuous
    assert load(tmp_path, silence_seconds=6, test_ratio=0.2).train.boundaries == ()


def test_longer_bins_hold_more_flows(tmp_path):
    write(tmp_path, [flow(second / 2) for second in range(12)])
    data = load(tmp_path, bin_seconds=1.5)
    assert (every_row(data, "flows"), data.step_seconds) == ([3, 3, 3, 3], 1.5)


def test_columns_can_be_chosen(tmp_path):
    write(tmp_path, [flow(0, Idle__Max=4), flow(1)])
    data = load(tmp_path, sums=["Idle Max"], means=["Idle Max", "Active Std"])
    assert data.train.features[3:6] == ("idle_max_sum", "idle_max_mean", "active_std_mean")
    assert data.train.values[0, 3:6].tolist() == [4, 4, 0]


# --- which files ---


def test_days_can_be_named_for_train_and_test(tmp_path):
    write(tmp_path, [flow(second) for second in range(5)], "01-12/DrDoS_DNS.csv")
    write(tmp_path, [flow(second - 300 + 300, "Syn") for second in range(3)], "03-11/Syn.csv")
    write(tmp_path, [flow(second + 40) for second in range(2)], "03-11/UDPLag.csv")
    data = load(tmp_path, train_files="01-12", test_files=["03-11/S*.csv", "03-11/UDPLag.csv"])
    assert (len(data.train), len(data.test), data.continuous) == (5, 42, False)
    later = load(tmp_path, train_files="03-11/UDPLag.csv", test_files="03-11/Syn.csv")
    assert later.defects[-1] == "training rows are later than test rows, as in the paper"


def test_a_file_that_begins_as_another_does_is_read_once(tmp_path):
    write(tmp_path, [flow(second) for second in range(20)])
    for name in ("DrDoS_DNS.copy.csv", "other/DrDoS_DNS.csv"):
        write(tmp_path, [flow(second) for second in range(20)], name)
    data = load(tmp_path)
    assert every_row(data, "flows") == [1] * 20
    assert data.defects == (
        "DrDoS_DNS.csv: begins with the flows of DrDoS_DNS.copy.csv, which would count twice; not read (2)",
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"files": "Syn.csv"}, r"no file fits 'Syn\.csv'; CSV files found there: DrDoS_DNS\.csv; set TSAD_DATA_DIR"),
        (
            {"train_files": "*.csv", "test_files": "*.csv"},
            r"DrDoS_DNS\.csv: must not be among the training files and the test files",
        ),
        ({"train_files": "*.csv"}, "files are either files, cut in time, or train_files with test_files"),
        ({"sums": ["Source Port"]}, r"identities and copies are no values\), but got \['Source Port'\]"),
        ({"level": "flow", "sums": ["Idle Max"], "means": ["Idle Max"]}, r"but got \['Idle Max'\]"),
        ({"files": "../x.csv"}, r"files lie below cicddos2019/, but got '\.\./x\.csv'"),
    ],
)
def test_files_and_columns_that_cannot_be_taken_are_named(tmp_path, keys, message):
    write(tmp_path, [flow(0), flow(1)])
    with pytest.raises(Exception, match=message):
        load(tmp_path, **keys)


def test_without_a_benign_training_row_there_is_nothing_to_learn_from(tmp_path):
    write(tmp_path, [flow(second, "DrDoS_DNS") for second in range(4)])
    with pytest.raises(DataError, match=r"0 of 2 and 2 are there; name other files, or set train: all"):
        load(tmp_path)
    assert len(load(tmp_path, train="all").train) == 2


# --- dirt ---


@pytest.mark.parametrize(
    ("name", "cell", "what"),
    [
        ("Flow Packets/s", "Infinity", "empty or infinite"),
        ("Flow Packets/s", "", "empty or infinite"),
        ("Flow Packets/s", "NaN", "empty or infinite"),
        ("Init_Win_bytes_forward", "-1", "below 0"),
        ("Fwd Header Length", "-212543795000", "below 0"),
        ("Fwd Header Length", "2147483648", "more than 60 bytes a packet"),
    ],
)
def test_a_cell_that_cannot_be_true_is_not_counted_and_said(tmp_path, name, cell, what):
    good = {"Total__Fwd__Packets": 1, name.replace(" ", "__"): 20}
    write(tmp_path, [flow(0.1, **good), flow(0.2, **good | {name.replace(" ", "__"): cell}), flow(1)])
    data = load(tmp_path)
    feature = next(
        each for each in data.train.features if each.startswith(name.lower().replace(" ", "_").replace("/", "_"))
    )
    assert column(data.train, feature) == [20]
    assert data.defects == (f"cells of {name!r} are {what}; not counted (1)",)


def test_a_last_line_that_was_cut_is_left_out_and_said(tmp_path):
    path = write(tmp_path, [flow(second) for second in range(4)])
    for cut in (1, 3, 100):  # without its end, in mid-label, in mid-row
        path.write_text(text([flow(second) for second in range(5)])[:-cut])
        data = load(tmp_path)
        assert every_row(data, "flows") == [1] * 4
        assert data.defects == (f"DrDoS_DNS.csv: {CUT}",)


def test_lines_of_another_length_and_flows_without_time_or_label_are_left_out_and_said(tmp_path):
    path = write(tmp_path, [flow(0), flow(1), flow(2, Timestamp=""), flow(2, ""), flow(2, "  ")])
    path.write_text(path.read_text() + "1,2,3\n" + "9," + text([flow(2)]).splitlines()[1] + "\n")
    data = load(tmp_path)
    assert every_row(data, "flows") == [1, 1]
    assert data.defects == (
        "DrDoS_DNS.csv: lines do not have the 88 cells of the header; left out (2)",
        "flows have no time or no label; left out (3)",
    )


def test_times_out_of_order_are_put_in_order_and_said(tmp_path):
    write(tmp_path, [flow(second) for second in (3, 0, 1, 5, 4, 2)])
    data = load(tmp_path, level="flow")
    assert [time.second for time in np.concatenate([data.train.times, data.test.times]).tolist()] == [0, 1, 2, 3, 4, 5]
    assert data.defects == ("DrDoS_DNS.csv: flows stand after a later one; put in order (4)",)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content.replace("Label", "Lable", 1), "1 are missing, first 'Label'"),
        (lambda content: content.split("\n", 1)[1], r"89 columns|\d+ are missing, first"),
        (lambda content: "", r"are missing, first 'Source IP'; it reads ''"),
        (lambda content: content.replace(",", ";"), "are missing, first 'Source IP'"),
        (
            lambda content: content.replace("2018-12-01", "yesterday"),
            r"cannot be read as flows \('Timestamp', flow 1: .*yesterday",
        ),
        (
            lambda content: content.replace(",1000,", ",many,"),
            r"cannot be read as flows \('Source Port', flow 1: .*many",
        ),
        (lambda content: content.encode("utf-16"), "are missing, first 'Source IP'"),
        (lambda content: content.replace("BENIGN", "BEN\0IGN\xff").encode("latin-1"), "cannot be read as flows"),
    ],
)
def test_a_file_that_is_none_of_the_published_ones_is_refused(tmp_path, damage, message):
    path = write(tmp_path, [flow(0), flow(1)])
    damaged = damage(path.read_text())
    path.write_bytes(damaged if isinstance(damaged, bytes) else damaged.encode())
    with pytest.raises(DataError, match=rf"DrDoS_DNS\.csv: .*{message}"):
        load(tmp_path)


def test_a_byte_order_mark_quotes_and_windows_line_ends_do_no_harm(tmp_path):
    path = write(tmp_path, [flow(second) for second in range(4)])
    wanted = load(tmp_path).digest
    cells = ["\ufeff" + ",".join(f'"{name}"' for name in COLUMNS), *path.read_text().splitlines()[1:]]
    path.write_bytes("".join(f"{line}\r\n" for line in cells).encode())
    assert load(tmp_path).digest == wanted


def test_a_header_that_names_a_column_twice_is_read_as_pandas_does(tmp_path):
    path = write(tmp_path, [flow(second, Fwd__Header__Length=7, Total__Fwd__Packets=1) for second in range(2)])
    path.write_text(path.read_text().replace("Fwd Header Length.1", "Fwd Header Length"))
    assert every_row(load(tmp_path), "fwd_header_length_sum") == [7, 7]


def test_names_of_columns_are_plain_and_differ(tmp_path):
    line = "\ufeff" + text([]).replace("Fwd Header Length.1", "Fwd Header Length")
    names = read_header(io.BytesIO(line.encode()), tmp_path)
    assert names == [name.strip() for name in COLUMNS]


def test_too_many_labels_are_no_labels(tmp_path):
    write(tmp_path, [flow(0, f"attack {place}") for place in range(70)])
    with pytest.raises(DataError, match="flows may have 64 labels at most, but have 70, such as"):
        load(tmp_path)


# --- one row a flow ---


def test_a_row_can_be_a_flow(tmp_path):
    flows = [
        flow(0, Flow__Duration=5),
        flow(1, "Syn"),
        flow(2, Flow__Duration="Infinity"),
        flow(90),
        flow(90.5, "Syn"),
        flow(91),
    ]
    write(tmp_path, flows, "Syn.csv")
    data = load(tmp_path, level="flow", test_ratio=1 / 3, sums=["Flow Duration"], means=[])
    assert data.train.features == ("flow_duration",)
    assert data.train.values.ravel().tolist() == [5, 0, 0]
    assert data.train.boundaries == (1, 2)  # an attack was left out, and a long silence
    assert data.test.labels.tolist() == [True, False]
    assert (data.typed_events, data.step_seconds) == ((TypedEvent(0, 1, "Syn"),), None)


# --- the published files ---


@needs_heads
@pytest.mark.parametrize(
    ("name", "flows", "attacks", "remark"),
    [
        ("DrDoS_DNS", 374, 346, "cells of 'Flow Packets/s' are empty or infinite; not counted (1)"),
        ("DrDoS_LDAP", 474, 474, "cells of 'Fwd Header Length' are below 0; not counted (473)"),
        ("DrDoS_NTP", 367, 72, "cells of 'Flow Packets/s' are empty or infinite; not counted (1)"),
        ("Portmap", 368, 16, "cells of 'Init_Win_bytes_forward' are below 0; not counted (178)"),
        ("Portmap.truncated", 368, 16, f"Portmap.truncated.csv: {CUT}"),
        ("Syn", 443, 441, "cells of 'Flow Packets/s' are empty or infinite; not counted (38)"),
        ("TFTP", 483, 483, "cells of 'Flow Packets/s' are empty or infinite; not counted (56)"),
        ("UDP", 485, 485, "UDP.csv: flows are labeled MSSQL, unlike the file; the label counts (485)"),
        ("UDPLag", 427, 427, "cells of 'Fwd Header Length' are below 0; not counted (427)"),
    ],
)  # fmt: skip
def test_every_published_head_is_read(name, flows, attacks, remark):
    keys = {"files": f"{name}.csv", "train": "all"}
    by_flow = load(HEADS, level="flow", **keys)
    labels = np.concatenate([by_flow.train.labels, by_flow.test.labels])
    assert (len(labels), int(labels.sum())) == (flows, attacks)
    assert remark in by_flow.defects
    bins = load(HEADS, bin_seconds=0.01, silence_seconds=0, **keys)
    assert sum(every_row(bins, "flows")) == flows


@needs_heads
def test_all_heads_together_keep_attacks_by_name():
    data = load(HEADS)
    assert {kind.name for kind in data.typed_events} == {
        "Portmap",
        "MSSQL",
        "DrDoS_NTP",
        "DrDoS_DNS",
        "DrDoS_LDAP",
        "UDP-lag",
        "Syn",
        "TFTP",
    }
    assert any(
        defect.startswith("Portmap.truncated.csv: begins with the flows of Portmap.csv") for defect in data.defects
    )
    assert len(load(HEADS, files="Portmap.csv", bin_seconds=0.1).train) > 800
