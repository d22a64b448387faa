"""What a form says, and which kind of answer a header wants."""

from __future__ import annotations

import io

import pytest
from starlette.datastructures import UploadFile

from realm_engine.errors import UsageError
from realm_engine.verbs.serve.forms import entries_of, preferred

OFFERED = ("application/json", "image/png", "application/x-npy")


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("image/png", "image/png"),
        ("IMAGE/PNG; q=1.0", "image/png"),
        ("image/*, */*;q=0.1", "image/png"),
        ("text/html, application/json;q=0.9, */*;q=0.8", "application/json"),
        ("application/json;q=0.5, application/x-npy;q=0.6", "application/x-npy"),
        ("application/*", "application/json"),
        ("*/*, application/json;q=0", "image/png"),
        ("text/html", None),
        ("image/png;q=x", None),
        ("image/png;q=0", None),
        (",;,", None),
    ],
)
def test_the_type_that_is_wanted_most(accept, kind):
    assert preferred(accept, OFFERED) == kind


def files(*names):
    return [UploadFile(io.BytesIO(name.encode()), filename=name) for name in names]


def test_texts_by_order_and_by_name():
    by_order = entries_of(files("a.png", "b.png"), [], ["", "  x"], None, False)
    assert [(each.name, each.text, each.error) for each in by_order] == [
        ("a.png", None, None),
        ("b.png", "  x", None),
    ]
    empty = entries_of(files("a.png", "b.png"), [" "], [""], None, False)
    assert [each.text for each in empty] == [None, None]
    by_name = entries_of(files("in/a.webp", "b.png"), [], [], '{"in/a.png": "x", "b.png": null}', False)
    assert [each.text for each in by_name] == ["x", None]
    both = entries_of(files("a.png", "b.png"), ["x", "y"], [], None, False)
    assert [each.text for each in both] == [("x", "y")] * 2


def test_an_image_that_must_have_a_text_and_has_none_is_an_error_of_its_own():
    found = entries_of(files("a.png", ""), [], ["x", ""], None, True)
    assert found[0].error is None
    assert found[1].error.startswith("image-2: no description")


def test_a_text_that_is_none_is_an_error_of_its_image():
    found = entries_of(files("a.png"), [], [], '{"a.png": "\\ud800"}', False)
    assert "half of one" in found[0].error


def test_a_name_that_no_image_has_is_refused():
    with pytest.raises(UsageError, match=r"no image is called 'c\.png'"):
        entries_of(files("a.png"), [], [], '{"a.png": "x", "c.png": "y"}', False)


def test_names_are_cut_and_read_once():
    (found,) = entries_of(files("x" * 999), [], [], None, False)
    assert len(found.name) == 255
    assert found.source.read() == b"x" * 999 and found.source.read() == b""
