import xml.etree.ElementTree as ElementTree
from pathlib import Path

from levgen.training.curve import draw, write_svg


def test_every_step_has_its_dot() -> None:
    assert draw([(step, 4.0 - step) for step in range(4)], width=2, height=2).splitlines() == [
        "4.000 │⠡",  # rows 0 and 2 of 8
        "1.000 │ ⢂",  # rows 5 and 7
        " step  03",
    ]


def test_a_column_of_many_steps_is_their_mean() -> None:
    picture = draw([(step, 8.0 / (step + 1)) for step in range(100)], width=20, height=4).splitlines()
    assert [line.partition("│")[0].rstrip() for line in picture[:4]] == ["6.000", "", "", "0.080"]  # (8 + 4) / 2
    assert [len(line.partition("│")[2]) for line in picture[:4]] == [1, 0, 1, 20]
    assert picture[4] == " step  0                 99"


def test_equal_losses_and_one() -> None:
    assert draw([(1, 2.0), (2, 2.0)], width=4, height=2).splitlines()[0] == "2.000 │⠁  ⠈"
    assert draw([(7, 2.0)], width=4, height=2).splitlines()[0] == "2.000 │⠁"


def test_svg_has_both_curves(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.svg"
    write_svg(path, [(1, 4.0), (2, 3.0), (3, 2.0)], [(3, 2.5)])
    root = ElementTree.parse(path).getroot()
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [line.get("points") for line in lines] == ["60.0,20.0 320.0,150.0 580.0,280.0", "580.0,215.0"]
