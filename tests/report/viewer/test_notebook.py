"""A case in a notebook: what is in the output, without a browser."""

from __future__ import annotations

import base64
import html
import json
import re
import zlib

import numpy as np
import pytest

import twintrack as tt
from twintrack.errors import GeometryError, InputError
from twintrack.images import Grid, Volume
from twintrack.report.viewer import notebook

SHAPE = (6, 40, 50)


def make(**options):
    mask = np.zeros(SHAPE, np.uint8)
    mask[2:4, 10:20, 30:36] = 1
    ct = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
    given = {"raters": [mask, mask], "probability": mask * np.float32(0.5), "image": ct, "spacing": (5.0, 1.0, 1.0)}
    return tt.Case("c<1>", **{**given, **options})


def content(view):
    page = html.unescape(re.search(r'srcdoc="([^"]*)"', view._repr_html_())[1])
    return json.loads(re.search(r'id="content">(.*?)</script>', page, flags=re.DOTALL)[1])


def unpacked(said, name):
    volume = said["volumes"][name]
    return np.frombuffer(zlib.decompress(base64.b64decode(volume["data"])), volume["type"]).reshape(said["shape"])


def test_holds_the_voxels_around_the_structure_as_they_are():
    case = make()
    said = content(tt.show(case, response=case.read().probability() * 1.5))

    # 15 mm around: three slices of 5 mm each way, cut at the ends; 15 pixels of 1 mm.
    assert (said["first"], said["shape"], said["whole"]) == ([0, 0, 15], [6, 35, 35], list(SHAPE))
    assert (unpacked(said, "ct") == case.read_image().array[:, :35, 15:]).all()
    assert unpacked(said, "response").max() == 0.75
    assert list(said["names"]) == ["response", "probability", "raters"]
    assert said["levels"][0]["label"] == "at least 1 of 2 experts"


def test_turns_the_patient_upright():
    flipped = Grid(
        shape=SHAPE, spacing=(5.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), direction=(-1, 0, 0, 0, -1, 0, 0, 0, 1)
    )
    case = make(grid=flipped, spacing=None)

    said = content(tt.show(case))

    assert said["upright"]
    assert said["first"] == [0, 5, 0]
    assert (
        unpacked(said, "raters") == np.stack(list(case.read().raters.values())).mean(0)[:, ::-1, ::-1][:, 5:, :35]
    ).all()


def test_is_one_frame_whose_text_cannot_get_out_of_it():
    view = tt.show(make())
    text = view._repr_html_()

    assert repr(view) == "CaseView(title='case c<1>')"
    assert text.count("<") == 2  # the frame's own beginning and end
    assert 'sandbox="allow-scripts"' in text
    assert "http" not in re.sub(r"http-equiv", "", text)


def test_the_end_of_a_script_in_a_name_stays_text():
    view = tt.show(tt.Case("</script><script>alert(1)", raters=[np.ones((3, 4), np.uint8)]))
    assert "<script>alert" not in view.page.replace("\\u003c", "")
    assert content(view)["title"] == "case </script><script>alert(1)"


def test_a_flat_image_without_a_ct_and_without_geometry():
    said = content(tt.show(tt.Case("c", raters=[np.eye(4, dtype=np.uint8)])))
    assert (said["whole"], said["upright"], list(said["volumes"])) == ([1, 4, 4], False, ["raters"])


def test_where_nothing_is_there_the_middle_is_shown():
    said = content(tt.show(make(raters=[np.zeros(SHAPE, np.uint8)], probability=None)))
    assert said["shape"] == [6, 40, 50]


def test_what_is_too_large_for_a_notebook_is_refused(monkeypatch):
    monkeypatch.setattr(notebook, "_MOST", 1000)
    with pytest.raises(InputError, match="twintrack view"):
        tt.show(make())


def test_a_response_of_another_grid_is_refused():
    other = Volume(np.zeros(SHAPE, np.float32), Grid.plain(SHAPE, spacing=(1.0, 1.0, 1.0)))
    with pytest.raises(GeometryError, match="spacings differ"):
        tt.show(make(), response=other)
    with pytest.raises(GeometryError, match="shape"):
        tt.show(make(), response=np.zeros((2, 2, 2), np.float32))


def test_a_response_that_is_none_is_refused():
    with pytest.raises(InputError, match="are not in"):
        tt.show(make(), response=np.full(SHAPE, 2, np.float32))
