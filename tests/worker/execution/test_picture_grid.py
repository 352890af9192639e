import pytest
from PIL import Image

from worker.execution.picture_grid import grid


@pytest.mark.parametrize(
    ("count", "rows", "size"),
    [(4, 2, (2, 2)), (4, 1, (4, 1)), (4, 4, (1, 4)), (5, 2, (3, 2)), (3, 9, (1, 3))],
)
def test_a_grid_has_the_rows_asked_for(count: int, rows: int, size: tuple[int, int]) -> None:
    images = [Image.new("RGB", (1, 1), (n + 1, 0, 0)) for n in range(count)]
    sheet = grid(images, rows)
    assert sheet.size == size
    reds = sheet.getchannel("R").tobytes()
    assert list(reds[:count]) == [n + 1 for n in range(count)]
