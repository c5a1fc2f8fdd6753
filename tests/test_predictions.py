"""Predictions: every field checked, files that come back the same, and errors that name what is wrong."""

import builtins
import json
import pickle
import warnings

import numpy as np
import pytest
from safetensors.numpy import save_file

from calibrant import Predictions, read_predictions
from calibrant.arrays import softmax
from calibrant.errors import CalibrantWarning, InputError, MissingExtra

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(4, 3)).astype(np.float32)


def full():
    return Predictions(
        logits=LOGITS,
        labels=[0, 2, -1, 1],
        classes=["Käfer", "a cat", "no"],
        zero_shot_logits=RNG.normal(size=(4, 3)),
        text_features=RNG.normal(size=(3, 8)),
        zero_shot_text_features=RNG.normal(size=(3, 8)),
        base_text_features=RNG.normal(size=(2, 8)),
        zero_shot_base_text_features=RNG.normal(size=(2, 8)),
        proximity=RNG.random(4),
        columns={
            "site": np.array(["Köln", "", "x", "x"]),
            "area": np.array([0.1, np.nan, 2, 3]),
            "group": np.arange(4),
            "seen": np.array([True, False, True, True]),
            "day": np.array(["2024-01-01"] * 4, dtype="datetime64[D]"),
        },
        ids=["a/1 .png", "b", "c", "\udcff"],
        about={"model": "tiny", "scale": 0.1, "templates": ["a {}."]},
        logit_scale=np.float32(50),
        zero_shot_logit_scale=100,
        image_features=RNG.normal(size=(4, 16)),
        reference_image_features=RNG.normal(size=(5, 16)),
        base_classes=["x", "y"],
        tuned_text=True,
    )


def assert_same(one, other):
    assert vars(one).keys() == vars(other).keys()
    for name, value in vars(one).items():
        if name == "columns":
            assert list(value) == list(other.columns)
            for column in value:
                np.testing.assert_array_equal(value[column], other.columns[column])
                assert value[column].dtype == other.columns[column].dtype
        elif isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, getattr(other, name))
            assert value.dtype == getattr(other, name).dtype
        else:
            assert value == getattr(other, name)


def test_the_file_gives_every_field_back(tmp_path):
    predictions = full()
    file = tmp_path / "mit Leerzeichen ü" / "p.safetensors"
    predictions.save(file)
    assert_same(Predictions.load(file), predictions)
    assert_same(read_predictions(file), predictions)


def test_the_bytes_of_the_file_are_stable_and_hold_no_pickle(tmp_path):
    predictions = full()
    predictions.save(tmp_path / "a.safetensors")
    Predictions.load(tmp_path / "a.safetensors").save(tmp_path / "b.safetensors")
    content = (tmp_path / "a.safetensors").read_bytes()
    assert content == (tmp_path / "b.safetensors").read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert len(header["__metadata__"]) == 1
    with pytest.raises((pickle.UnpicklingError, EOFError, KeyError, ValueError)):
        pickle.loads(content)


def test_views_that_are_not_contiguous_are_written_as_seen(tmp_path):
    Predictions(logits=LOGITS.T.copy().T[:, ::-1], columns={"g": np.arange(8)[::2]}).save(tmp_path / "p.safetensors")
    back = Predictions.load(tmp_path / "p.safetensors")
    np.testing.assert_array_equal(back.logits, LOGITS[:, ::-1])
    np.testing.assert_array_equal(back.columns["g"], [0, 2, 4, 6])


def test_types_are_settled_once():
    predictions = Predictions(logits=LOGITS.astype(np.float16), labels=np.array([0.0, 1, 2, 0]), ids=[1, 2, 3, 4])
    assert predictions.logits.dtype == np.float32
    assert predictions.labels.dtype == np.int64
    assert predictions.classes == ["0", "1", "2"]
    assert predictions.ids == ["1", "2", "3", "4"]
    assert Predictions(logits=[[1, 2]]).logits.dtype == np.float64
    assert "4 samples, 3 classes; with labels" in repr(predictions)


def test_torch_tensors_are_accepted():
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(LOGITS, requires_grad=True)
    predictions = Predictions(
        logits=tensor.bfloat16(), labels=torch.tensor([0, 1, 2, 0]), logit_scale=torch.tensor(50.0)
    )
    assert predictions.logits.dtype == np.float32
    assert predictions.logits == pytest.approx(LOGITS, rel=1e-2)
    assert predictions.logit_scale == 50


def test_a_subset_cuts_what_belongs_to_samples_and_nothing_else():
    predictions = full()
    by_mask = predictions.subset(np.array([False, True, False, True]))
    assert_same(by_mask, predictions.subset([1, 3]))
    assert by_mask.ids == ["b", "\udcff"]
    assert by_mask.labels.tolist() == [2, 1]
    assert by_mask.columns["group"].tolist() == [1, 3]
    assert by_mask.image_features.shape == (2, 16)
    assert by_mask.reference_image_features.shape == (5, 16)
    assert by_mask.text_features.shape == (3, 8)
    assert predictions.subset([-1]).ids == ["\udcff"]


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ([], "empty"),
        ([False] * 4, "empty"),
        ([True], "the mask has shape [1]"),
        ([4], "4 samples"),
        ([0.5], "positions"),
    ],
)
def test_impossible_subsets_are_refused(chosen, message):
    with pytest.raises(InputError) as caught:
        full().subset(chosen)
    assert message in str(caught.value)


def test_probabilities_become_logits_with_the_same_softmax():
    probs = softmax(LOGITS)
    predictions = Predictions.from_probabilities(probs, labels=[0, 1, 2, 0], about={"model": "forest"})
    assert predictions.probabilities() == pytest.approx(probs, abs=1e-12)
    assert predictions.about == {"model": "forest", "from_probabilities": True}


def test_probabilities_of_0_are_kept_finite_and_reported():
    with pytest.warns(CalibrantWarning, match="2 probabilities are 0"):
        predictions = Predictions.from_probabilities(np.eye(2))
    assert predictions.about["zero_probabilities"] == 2
    assert np.isfinite(predictions.logits).all()
    assert predictions.probabilities() == pytest.approx(np.eye(2))
    with pytest.raises(InputError, match=r"row 0 sums to 0\.9"):
        Predictions.from_probabilities([[0.5, 0.4]])


BAD_FIELDS = {
    "a NaN logit": (
        {"logits": [[0, np.nan]] * 4},
        "logits hold a NaN or infinite value (nan) in row 0, column 1",
    ),
    "an infinite logit": ({"logits": [[0, 1, -np.inf]] * 4}, "infinite value (-inf) in row 0, column 2"),
    "no sample": ({"logits": np.empty((0, 3)), "labels": None}, "empty: there is no sample"),
    "a single class": ({"logits": [[1.0]] * 4}, "at least two classes, not 1"),
    "a vector": ({"logits": [1.0, 2.0]}, "[N, C]"),
    "ragged": ({"logits": [[1.0], [1.0, 2.0]]}, "different lengths"),
    "text": ({"logits": [["a", "b"]] * 4}, "must be numbers"),
    "objects": ({"logits": np.array([[None, 1]] * 4)}, "numbers or strings, not object"),
    "fewer labels": ({"labels": [0, 1]}, "4 rows but the labels have shape [2]"),
    "a label beyond the classes": (
        {"labels": [0, 1, 2, 3]},
        "label 3 in row 3 is outside the class list (0 to 2)",
    ),
    "a label below -1": ({"labels": [0, -2, 2, 1]}, "label -2 in row 1"),
    "a label of half": ({"labels": [0, 0.5, 2, 1]}, "class indices"),
    "fewer classes": ({"classes": ["a", "b"]}, "3 columns, but there are 2 class names"),
    "a duplicate class": ({"classes": ["a", "b", "a"]}, "class name 'a' occurs 2 times"),
    "an empty class": ({"classes": ["a", " ", "c"]}, "class name at position 1 is empty"),
    "classes as one string": ({"classes": "abc"}, "must be a list"),
    "a duplicate id": ({"ids": ["a", "b", "a", "c"]}, "id name 'a' occurs 2 times"),
    "fewer ids": ({"ids": ["a"]}, "4 rows of logits but 1 ids"),
    "zero-shot logits of other classes": (
        {"zero_shot_logits": np.ones((4, 2))},
        "zero_shot_logits must have shape [4, 3]",
    ),
    "NaN features": ({"image_features": np.full((4, 2), np.nan)}, "image_features hold a NaN"),
    "text features of fewer classes": (
        {"text_features": np.ones((2, 8))},
        "text_features must have shape [3, any]",
    ),
    "features of two spaces": (
        {"text_features": np.ones((3, 8)), "zero_shot_text_features": np.ones((3, 9))},
        "text_features and zero_shot_text_features must have the same last axis, not 8 and 9",
    ),
    "base features that disagree": (
        {"base_text_features": np.ones((2, 8)), "zero_shot_base_text_features": np.ones((3, 8))},
        "base_text_features has 2 rows",
    ),
    "base features without their classes": (
        {"base_text_features": np.ones((2, 8)), "base_classes": ["a", "b", "c"]},
        "base_text_features must have shape [3, any]",
    ),
    "a short column": ({"columns": {"site": ["a"]}}, "column 'site' has shape [1], but there are 4 samples"),
    "a mixed column": ({"columns": {"site": np.array(["a", 1, None, 2], dtype=object)}}, "column 'site'"),
    "a negative scale": ({"logit_scale": -1}, "logit_scale must be one positive number"),
    "many scales": ({"zero_shot_logit_scale": [1, 2]}, "zero_shot_logit_scale must be one positive number"),
    "an unclear side": ({"tuned_text": "yes"}, "tuned_text must be true or false"),
}


@pytest.mark.parametrize("name", BAD_FIELDS)
def test_a_wrong_field_is_named_in_one_line(name):
    change, message = BAD_FIELDS[name]
    with pytest.raises(InputError) as caught:
        Predictions(**{"logits": LOGITS, "labels": [0, 1, 2, 0], **change})
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_json_cannot_hold_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="`about` must hold only what JSON can hold"):
        Predictions(logits=LOGITS, about={"model": object()}).save(tmp_path / "p.safetensors")
    assert list(tmp_path.iterdir()) == []


def write_csv(tmp_path, text):
    file = tmp_path / "p.csv"
    file.write_text(text, encoding="utf-8")
    return file


def test_csv_columns_follow_the_rule(tmp_path):
    file = write_csv(
        tmp_path,
        '\ufeffid,label,logit:cat,"logit:dog, wild",site,age,weight,code,'
        '"zero_shot_logit:dog, wild",zero_shot_logit:cat\n'
        'a,"dog, wild",1.5,-2,Köln,3,0.5,007,1,2\n\nb,cat,1e-3,0,Bonn,40,2,12,3,4\n',
    )
    found = read_predictions(file)
    assert found.classes == ["cat", "dog, wild"]
    assert found.logits.tolist() == [[1.5, -2], [0.001, 0]]
    assert found.zero_shot_logits.tolist() == [[2, 1], [4, 3]]
    assert found.labels.tolist() == [1, 0]
    assert found.ids == ["a", "b"]
    assert {name: column.tolist() for name, column in found.columns.items()} == {
        "site": ["Köln", "Bonn"], "age": [3, 40], "weight": [0.5, 2], "code": ["007", "12"],
    }  # fmt: skip


def test_csv_without_labels_is_unlabelled(tmp_path):
    assert read_predictions(write_csv(tmp_path, "logit:a,logit:b\n1,2\n")).labels is None
    assert read_predictions(write_csv(tmp_path, "label,logit:a,logit:b\n,1,2\n")).labels is None


def test_csv_of_probabilities(tmp_path):
    found = read_predictions(write_csv(tmp_path, "label,probability:a,probability:b\na,0.25,0.75\n"))
    assert found.probabilities() == pytest.approx(np.array([[0.25, 0.75]]))
    assert found.about["from_probabilities"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("label,cat,dog\ncat,1,2\n", "needs one column 'logit:NAME' per class"),
        ("logit:a,probability:b\n1,2\n", "not both"),
        ("logit:a,logit:a\n1,2\n", "column 'logit:a' occurs twice"),
        ("logit:a,logit:b\n1\n", "line 2: 1 values for 2 columns"),
        ("logit:a,logit:b\n1,two\n", "line 2: column 'logit:b' holds 'two', not a number"),
        ("logit:a,logit:b\n1,\n", "line 2: column 'logit:b' holds ''"),
        ("logit:a,logit:b\n1,nan\n", "line 2: column 'logit:b' holds 'nan', not a finite number"),
        ("logit:a,logit:b\n", "there is no sample"),
        ("logit:a,logit:b,zero_shot_logit:a\n1,2,1\n", "name other classes than the 'logit:' ones"),
        ("logit:a\n1\n", "at least two classes"),
        ("logit:,logit:b\n1,2\n", "class name at position 0 is empty"),
        (
            "label,logit:cat,logit:dog\ncst,1,2\n",
            "line 2: label 'cst' is not one of the 2 classes; did you mean 'cat'",
        ),
        ("label,logit:cat,logit:dog\ncat,1,2\n,1,2\n", "line 3: label '' is not"),
        ("label,logit:cat,logit:dog\n\ncat,1,2\ndog,nan,2\n", "line 4: column 'logit:cat' holds 'nan', not a finite"),
        ("label;logit:cat;logit:dog\ncat;1,5;2\n", "not separated by commas"),
        ("id,logit:cat,logit:dog\nx,1,2\nx,1,2\n", "id name 'x' occurs 2 times"),
    ],
)
def test_a_wrong_csv_is_named(tmp_path, text, message):
    file = write_csv(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_predictions(file)
    assert str(file) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_binary_csv_is_refused(tmp_path):
    (tmp_path / "p.csv").write_bytes(b"\xff\xfe\x00logit")
    with pytest.raises(InputError, match="no CSV table in UTF-8"):
        read_predictions(tmp_path / "p.csv")


def test_parquet_follows_the_same_rule(tmp_path):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = {
        "id": [10, 11],
        "label": ["b", "a"],
        "logit:a": [1.0, 2.0],
        "logit:b": [0, 1],
        "site": ["x", "y"],
        "seen": [True, False],
    }
    parquet.write_table(arrow.table(table), tmp_path / "p.parquet")
    found = read_predictions(tmp_path / "p.parquet")
    assert found.logits.tolist() == [[1, 0], [2, 1]]
    assert (found.labels.tolist(), found.ids, found.classes) == ([1, 0], ["10", "11"], ["a", "b"])
    assert found.columns["site"].tolist() == ["x", "y"]
    assert found.columns["seen"].tolist() == [True, False]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"logit:a": [1.0, None], "logit:b": [1.0, 2.0]}, "column 'logit:a' has 1 missing values"),
        ({"logit:a": ["1", "2"], "logit:b": [1.0, 2.0]}, "column 'logit:a' must hold numbers"),
        ({"a": [1.0]}, "needs one column 'logit:NAME'"),
        ({"label": ["a", None], "logit:a": [1.0, 2.0], "logit:b": [1.0, 2.0]}, "row 2: label '' is not"),
    ],
)
def test_a_wrong_parquet_is_named(tmp_path, table, message):
    arrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table(table), tmp_path / "p.parquet")
    with pytest.raises(InputError, match=r"p\.parquet") as caught:
        read_predictions(tmp_path / "p.parquet")
    assert message in str(caught.value)


def test_parquet_without_pyarrow_names_the_extra(tmp_path, monkeypatch):
    def without_pyarrow(name, *arguments, **options):
        if name.split(".")[0] == "pyarrow":
            raise ModuleNotFoundError(name=name)
        return builtins.__import__(name, *arguments, **options)

    monkeypatch.setattr("importlib.import_module", without_pyarrow)
    with pytest.raises(MissingExtra, match=r"calibrant\[parquet\]"):
        read_predictions(tmp_path / "p.parquet")


def test_npz_takes_fields_and_columns_by_name(tmp_path):
    np.savez(
        tmp_path / "p.npz",
        logits=LOGITS,
        labels=["b", "c", "a", "b"],
        classes=["a", "b", "c"],
        text_features=np.ones((3, 2)),
        logit_scale=np.array(50.0),
        tuned_text=np.array(False),
        site=["x", "y", "x", "y"],
    )
    found = read_predictions(tmp_path / "p.npz")
    assert found.labels.tolist() == [1, 2, 0, 1]
    assert found.text_features.shape == (3, 2)
    assert (found.logit_scale, found.tuned_text, found.about) == (50, False, {"source": "p.npz"})
    assert found.columns["site"].tolist() == ["x", "y", "x", "y"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"labels": [0, 1]}, "must hold either 'logits' or 'probabilities' [N, C]; it holds labels"),
        ({"logits": LOGITS, "probabilities": softmax(LOGITS)}, "either 'logits' or 'probabilities'"),
        ({"logits": LOGITS, "lables": [0, 1, 2, 0]}, "unknown field 'lables'; did you mean 'labels'"),
        ({"logits": LOGITS, "thing": np.ones((4, 2))}, "field 'thing' is unknown"),
        ({"logits": LOGITS, "labels": ["a"] * 4}, "add 'classes'"),
        ({"logits": LOGITS, "labels": [0, 1]}, "4 rows but the labels have shape [2]"),
        ({"logits": LOGITS * np.nan}, "NaN or infinite"),
        (
            {"logits": LOGITS, "labels": np.array([0, None, 1, 2], dtype=object)},
            "field 'labels' holds Python objects",
        ),
        ({"probabilities": LOGITS}, "apply a softmax"),
    ],
)
def test_a_wrong_npz_is_named(tmp_path, fields, message):
    np.savez(tmp_path / "p.npz", **fields)
    with pytest.raises(InputError, match=r"p\.npz") as caught:
        read_predictions(tmp_path / "p.npz")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_single_array_is_no_archive(tmp_path):
    with open(tmp_path / "p.npz", "wb") as file:
        np.save(file, LOGITS)
    with pytest.raises(InputError, match=r"single array, not an \.npz archive"):
        read_predictions(tmp_path / "p.npz")


def test_a_foreign_safetensors_file_is_read_by_its_names(tmp_path):
    save_file({"logits": LOGITS, "labels": np.array([0, 1, 2, 0])}, tmp_path / "p.safetensors")
    assert read_predictions(tmp_path / "p.safetensors").labels.tolist() == [0, 1, 2, 0]
    save_file({"weights": LOGITS}, tmp_path / "p.safetensors")
    with pytest.raises(InputError, match="it holds weights"):
        read_predictions(tmp_path / "p.safetensors")


@pytest.mark.parametrize("ending", ["safetensors", "npz", "csv", "parquet"])
def test_missing_and_damaged_files_are_named(tmp_path, ending):
    file = tmp_path / f"p.{ending}"
    with pytest.raises(InputError, match=f"p.{ending}"):
        read_predictions(file)
    file.write_bytes(b"\x93damaged\xff" * 40)
    with pytest.raises(InputError, match=f"p.{ending}"):
        read_predictions(file)


def test_truncated_files_are_named(tmp_path):
    full().save(tmp_path / "p.safetensors")
    np.savez(tmp_path / "p.npz", logits=LOGITS)
    for file in (tmp_path / "p.safetensors", tmp_path / "p.npz"):
        file.write_bytes(file.read_bytes()[:-40])
        with pytest.raises(InputError, match=file.name):
            read_predictions(file)


def test_a_newer_format_is_refused(tmp_path):
    head = {"calibrant.predictions": json.dumps({"format": 99})}
    save_file({"logits": LOGITS}, tmp_path / "p.safetensors", head)
    with pytest.raises(InputError, match="newer Calibrant"):
        Predictions.load(tmp_path / "p.safetensors")


def test_other_endings_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"predictions are read from \.safetensors, \.npz, \.parquet, \.csv files"):
        read_predictions(tmp_path / "p.pkl")


def test_reading_warns_of_nothing(tmp_path):
    full().save(tmp_path / "p.safetensors")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read_predictions(tmp_path / "p.safetensors")


def test_probabilities_in_the_place_of_logits_are_warned_of(tmp_path):
    table = softmax(np.random.default_rng(0).normal(size=(20, 3)))
    np.savez(tmp_path / "a.npz", logits=table)
    np.savez(tmp_path / "b.npz", probabilities=table)
    for given in (table, table.astype(np.float16)):
        with pytest.warns(CalibrantWarning, match=r"look like probabilities.*Predictions\.from_probabilities"):
            assert (Predictions(logits=given).logits == given).all()  # never guessed
    with pytest.warns(CalibrantWarning, match="look like probabilities"):
        read_predictions(tmp_path / "a.npz")
    read_predictions(tmp_path / "b.npz")
    for logits in (np.log(table), np.eye(3), 2 * table, np.vstack([table, [[1.5, -0.5, 0]]])):
        Predictions(logits=logits)
