import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba

from twintrack.calibration import fit
from twintrack.cohort import Case
from twintrack.errors import GeometryError, InputError
from twintrack.images import Grid, Volume
from twintrack.images.windows import LUNG
from twintrack.report.case_figure import case_figure, figure_of
from twintrack.report.panels import agreement_levels, legend_lines


def panels(figure):
    """The axes with images, in rows of four."""
    axes = [axis for axis in figure.axes if axis.images]
    return [axes[k : k + 4] for k in range(0, len(axes), 4)]


def pixels(figure):
    return [np.asarray(axis.images[0].get_array()) for row in panels(figure) for axis in row]


def outlines(axis):
    """Number of outlines, and the lengths of their paths' bounding boxes in mm, (x, y) each."""
    paths = [path for lines in axis.collections for path in lines.get_paths() if len(path.vertices)]
    return [tuple(np.ptp(path.vertices, axis=0).tolist()) for path in paths]


def test_a_volume_has_three_rows_of_four_panels(case):
    figure = case_figure(**case, title="a case")
    rows = panels(figure)
    assert [len(row) for row in rows] == [4, 4, 4]
    assert [row[0].get_ylabel() for row in rows] == [
        "axial, slice 10 of 20",
        "coronal, slice 12 of 30",
        "sagittal, slice 21 of 40",
    ]
    assert [axis.get_title().splitlines()[0] for axis in rows[0]] == [
        "CT with the outlines",
        "Response of the raters",
        "Probability of the ensemble",
        "Predicted response",
    ]
    assert "a case" in [text.get_text() for text in figure.texts]


def test_the_panels_hold_ct_response_probability_and_prediction(case):
    ct, response, probability, predicted = pixels(case_figure(**case))[:4]
    assert set(np.unique(response)) == {0, 0.5, 1}
    assert (response == 1).sum() == 4
    assert (response == 0.5).sum() == 12 - 4
    assert probability.sum() == pytest.approx(12 * 0.8)
    assert predicted.sum() == pytest.approx(12 * 0.5)
    assert ct.shape == response.shape


def test_the_maps_share_one_scale_from_0_to_1_and_the_ct_has_the_window(case):
    for ct, *maps in panels(case_figure(**case, window=LUNG)):
        assert ct.images[0].get_clim() == LUNG
        assert [one.images[0].get_clim() for one in maps] == [(0, 1)] * 3
        assert {one.images[0].get_cmap().name for one in maps} == {"cividis"}


def test_a_voxel_is_as_wide_and_high_as_its_spacing_says(case):
    for row, (height, width) in zip(panels(case_figure(**case)), ((2, 1), (3, 1), (3, 2)), strict=True):
        for axis in row:
            image = axis.images[0]
            left, right, first, last = image.get_extent()
            n_rows, n_columns = image.get_array().shape
            assert (right - left) / n_columns == pytest.approx(width)
            assert abs(last - first) / n_rows == pytest.approx(height)
            assert axis.get_aspect() == 1


def test_the_outlines_of_the_raters_lie_where_they_drew(case):
    ct = panels(case_figure(**case))[0][0]
    # The borders run through the middle between voxels: the block's size in mm, 4 × 2 and 3 × 1, or 2 × 2 and 2 × 1.
    assert outlines(ct) == [pytest.approx((3, 8)), pytest.approx((2, 4))]
    (x, y), _ = (path.vertices.mean(axis=0) for lines in ct.collections for path in lines.get_paths())
    assert 20 < x < 23
    assert 2 * 10 < y < 2 * 14


def test_every_map_carries_the_outlines_of_agreement(case):
    for _, *maps in panels(case_figure(**case)):
        for axis in maps:
            assert len(outlines(axis)) == 2


def test_levels_of_agreement_that_are_the_same_are_drawn_once():
    assert agreement_levels(1) == {"half": 1}
    assert agreement_levels(2) == {"half": 1, "all": 2}
    assert agreement_levels(3) == {"any": 1, "half": 2, "all": 3}
    assert agreement_levels(4) == {"any": 1, "half": 2, "all": 4}
    assert agreement_levels(5) == {"any": 1, "half": 3, "all": 5}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_legend_names_raters_and_levels(case):
    assert legend(case_figure(**case)) == ["rater anna", "rater ben", "at least 1 of 2 raters", "all 2 raters"]
    alone = {**case, "raters": {"1": case["raters"]["anna"]}}
    assert legend(case_figure(**alone)) == ["rater 1", "outline of the rater"]


def test_a_long_legend_gets_more_lines_and_the_figure_more_height(case):
    many = {**case, "raters": {str(k): case["raters"]["anna"] for k in range(12)}}
    assert legend_lines(2) == 1
    assert legend_lines(12) == 2
    extra = case_figure(**many).get_size_inches()[1] - case_figure(**case).get_size_inches()[1]
    assert extra == pytest.approx(0.2)


def test_the_sizes_below_the_columns_are_those_of_the_whole_case(case):
    # Voxels of 6 mm³: 48 and 8 voxels are 288 and 48 mm³; Σp is 48 · 0.8 and 48 · 0.5 voxels.
    *_, last = panels(case_figure(**case))
    assert [axis.get_xlabel() for axis in last] == [
        "volumes from 48 to 288 mm³",
        "mean volume 168 mm³",
        "expected volume 230 mm³",
        "expected volume 144 mm³",
    ]


def test_large_volumes_are_said_in_ml(case):
    case["response"] = np.ones_like(case["response"])
    *_, last = panels(case_figure(**case))
    assert last[0].get_xlabel() == "volumes from 0.048 to 0.288 ml"
    assert last[3].get_xlabel() == "expected volume 144 ml"


def test_a_2d_image_has_one_row_and_areas():
    grid = Grid.plain((30, 40), spacing=(2.0, 0.5))
    mask = np.zeros(grid.shape, np.uint8)
    mask[10:20, 10:30] = 1
    figure = case_figure(
        Volume(np.zeros(grid.shape), grid), raters={"1": mask}, probability=np.float32(mask), response=np.float32(mask)
    )
    ((*_, last),) = panels(figure)
    assert last.get_xlabel() == "expected area 200 mm²"


def scale_bars(figure):
    return [row[0].lines for row in panels(figure)]


def test_a_bar_shows_the_scale_where_the_grid_is_known(case):
    for (bar,) in scale_bars(case_figure(**case)):
        assert np.ptp(bar.get_xdata()) == 10
        assert np.ptp(bar.get_ydata()) == 0
    unknown = Volume(case["ct"].array, Grid.plain(case["ct"].array.shape))
    figure = case_figure(**{**case, "ct": unknown})
    assert [list(lines) for lines in scale_bars(figure)] == [[], [], []]
    assert {axis.get_xlabel() for axis in panels(figure)[-1]} == {""}
    assert [text.get_text() for text in panels(figure)[0][0].texts] == []


def test_the_sides_of_the_patient_are_named(case):
    for row, sides in zip(panels(case_figure(**case)), ("RLPA", "RLIS", "APIS"), strict=True):
        assert [text.get_text() for text in row[0].texts][:4] == list(sides)
        places = [text.get_position() for text in row[0].texts][:4]
        assert places[0][0] < 0.5 < places[1][0]
        assert places[2][1] < 0.5 < places[3][1]


@settings(max_examples=8, deadline=None)
@given(axes=st.permutations(range(3)), flips=st.tuples(*[st.booleans()] * 3))
def test_however_the_ct_is_stored_the_patient_looks_the_same(axes, flips):
    rng = np.random.default_rng(1)
    shape, spacing = (10, 12, 14), (3.0, 2.0, 1.0)
    ct = rng.normal(size=shape)
    mask = np.zeros(shape, np.uint8)
    mask[3:6, 2:7, 8:12] = 1
    mask[4, 3, 9] = 0
    probability = rng.random(shape, np.float32)

    def stored(array):
        flipped = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in flips)]
        return np.ascontiguousarray(flipped.transpose(axes))

    columns = np.eye(3) * [-1 if flip else 1 for flip in flips[::-1]]
    order = [2 - axis for axis in axes][::-1]
    grid = Grid(
        shape=stored(ct).shape,
        spacing=tuple(spacing[axis] for axis in axes),
        origin=(0.0, 0.0, 0.0),
        direction=tuple(columns[:, order].ravel().tolist()),
    )

    def drawn(grid, turn):
        maps = {"probability": turn(probability), "response": turn(probability)}
        return pixels(case_figure(Volume(turn(ct), grid), raters={"1": turn(mask)}, **maps))

    plain = drawn(Grid.plain(shape, spacing=spacing), np.array)
    for one, other in zip(plain, drawn(grid, stored), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("left", ["response", "probability", "nothing"])
def test_where_nobody_drew_anything_the_prediction_is_shown(case, left):
    empty = {name: np.zeros_like(mask) for name, mask in case["raters"].items()}
    maps = {name: case[name] if name == left else np.zeros_like(case[name]) for name in ("probability", "response")}
    figure = case_figure(**{**case, **maps, "raters": empty})
    expected = "axial, slice 11 of 20" if left == "nothing" else "axial, slice 9 of 20"
    assert panels(figure)[0][0].get_ylabel() == expected


def test_a_mask_that_fills_the_panel_has_no_outline(case):
    full = {"1": np.ones_like(case["probability"], np.uint8)}
    assert outlines(panels(case_figure(**{**case, "raters": full}))[0][0]) == []


def test_raters_have_different_colours(case):
    figure = case_figure(**case)
    colours = {tuple(lines.get_edgecolor()[0]) for lines in panels(figure)[0][0].collections}
    assert len(colours) == 2
    assert to_rgba("white") not in colours


def test_a_figure_needs_a_rater(case):
    with pytest.raises(InputError, match="the CT: a figure of a case needs at least one rater"):
        case_figure(**{**case, "raters": {}})


def test_arrays_of_another_shape_are_refused(case):
    with pytest.raises(GeometryError, match="probability"):
        case_figure(**{**case, "probability": case["probability"][1:]})
    with pytest.raises(GeometryError, match="the mask of rater ben"):
        case_figure(**{**case, "raters": {**case["raters"], "ben": case["raters"]["ben"][:, 1:]}})


def test_masks_must_be_binary(case):
    with pytest.raises(InputError):
        case_figure(**{**case, "raters": {"1": case["raters"]["anna"] * 2}})


def test_a_voxel_is_drawn_where_it_lies(case):
    case["probability"] = np.zeros_like(case["probability"])
    case["probability"][9, 11, 20] = 1
    figure = case_figure(**case)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())
    for row, (x, y) in zip(panels(figure), ((20.5, 23), (20.5, 28.5), (23, 28.5)), strict=True):
        column, line = row[2].transData.transform((x, y))
        red, _, blue, _ = drawn[round(len(drawn) - line), round(column)]
        assert red > 200 > 100 > blue


def calibrated(case):
    return fit(
        [Case("c", members=[case["probability"]], raters=case["raters"], grid=case["ct"].grid)], method="isotonic"
    )


def test_a_case_is_read_calibrated_and_drawn(case):
    calibration = calibrated(case)
    whole = Case("case_7", members=[case["probability"]], raters=case["raters"], image=case["ct"], grid=case["ct"].grid)
    figure = figure_of(whole, calibration)
    assert "case_7" in [text.get_text() for text in figure.texts]
    *_, raw, response = pixels(figure)[:4]
    assert raw.max() == np.float32(0.8)
    # 48 voxels are predicted alike; all of them were drawn by anna, 8 by ben too.
    assert response.max() == pytest.approx((48 + 8) / 96)
    assert "another title" in [text.get_text() for text in figure_of(whole, calibration, title="another title").texts]


def test_a_case_without_its_ct_is_refused(case):
    bare = Case("case_7", members=[case["probability"]], raters=case["raters"], grid=case["ct"].grid)
    with pytest.raises(InputError, match="case case_7: there is no CT to draw"):
        figure_of(bare, calibrated(case))


def test_a_ct_on_another_grid_is_refused(case):
    elsewhere = Volume(case["ct"].array, Grid.plain(case["ct"].array.shape, spacing=(1, 1, 1)), "the CT")
    mixed = Case("c", members=[case["probability"]], raters=case["raters"], image=elsewhere, grid=case["ct"].grid)
    with pytest.raises(GeometryError, match="the CT and the masks of case c"):
        figure_of(mixed, calibrated(case))
