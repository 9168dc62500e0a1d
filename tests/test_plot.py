"""Figures have one style, which stays with them, and saving makes the folder."""

import matplotlib

from nodeedu import plot


def test_making_a_figure_leaves_the_users_style_alone():
    before = dict(matplotlib.rcParams)
    plot.figure(1, 2)
    assert dict(matplotlib.rcParams) == before


def test_lines_take_the_palette_in_order():
    _, axes = plot.figure()
    lines = [axes.plot([0, 1], [0, i])[0] for i in range(len(plot.COLORS))]
    assert [line.get_color() for line in lines] == list(plot.COLORS)


def test_saving_a_figure_makes_its_folder(tmp_path):
    fig, axes = plot.figure()
    axes.plot([0, 1], [0, 1])
    path = plot.save(fig, tmp_path / "new" / "line.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_tests_and_commands_draw_without_a_window():
    plot.headless()
    assert matplotlib.get_backend().lower() == "agg"


def test_figures_are_written_under_their_labels_where_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("NODEEDU_FIGURES", str(tmp_path / "new"))
    plot.figure(num="waves")
    plot.show_or_save()
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["waves.png"]
