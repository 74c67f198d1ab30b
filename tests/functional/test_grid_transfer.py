"""Transfer of maps between grids, against a loop over cells."""

import pytest
import torch

from mmdistill.functional.crops import Crops
from mmdistill.functional.grid_transfer import grid_transfer
from mmdistill.functional.inverse_views import Axis


def crops(*extents):
    sides = torch.tensor(extents, dtype=torch.float32)
    return Crops(torch.full_like(sides, 50.0), sides, sides.prod(1))


def by_hand(maps, source, source_crops, target, target_crops):
    """Bilinear reading of the source at the image position of each target cell."""
    result = torch.zeros(*maps.shape[:2], target[1].cells, target[0].cells)
    for n in range(len(maps)):
        ratio = (target_crops.extents / source_crops.extents)[n]
        for j in range(target[1].cells):
            for i in range(target[0].cells):
                at = [
                    float(
                        source[k].cell(
                            (target[k].position(cell) - 0.5) * ratio[k] + 0.5
                        )
                    )
                    for k, cell in enumerate((i, j))
                ]
                limits = [axis.cells - 1 for axis in source]
                if any(
                    not -1e-4 <= a <= limit + 1e-4
                    for a, limit in zip(at, limits, strict=True)
                ):
                    continue
                x, y = (
                    min(max(a, 0.0), float(limit))
                    for a, limit in zip(at, limits, strict=True)
                )
                for v in range(source[0].cells):
                    for u in range(source[1].cells):
                        weight = max(0, 1 - abs(x - v)) * max(0, 1 - abs(y - u))
                        result[n, :, j, i] += weight * maps[n, :, u, v]
    return result


@pytest.mark.parametrize(
    'source',
    [
        (Axis(6, 2.0, 0.5, 11.0), Axis(5, 3.0, 1.0, 14.0)),
        (Axis(24, 0.5, 0.0, 12.0), Axis(9, 1.5, 0.25, 14.0)),
    ],
)
@pytest.mark.parametrize('extents', [[(20, 30), (40, 25)], [(30, 40), (30, 40)]])
def test_maps_are_read_at_the_positions_of_the_other_grid(source, extents):
    target = Axis(8, 1.5, 0.75, 12.0), Axis(7, 2.0, 0.0, 14.0)
    here, there = crops((30, 40), (30, 40)), crops(*extents)
    generator = torch.Generator().manual_seed(1)
    maps = torch.rand(2, 3, source[1].cells, source[0].cells, generator=generator)

    transfer = grid_transfer(source, there, target, here)

    expected = by_hand(maps, source, there, target, here)
    torch.testing.assert_close(transfer(maps), expected, rtol=0, atol=1e-4)
    assert expected.abs().sum() > 0


def test_the_same_cells_of_the_same_crops_need_no_transfer():
    axes = Axis(8, 1.5, 0.75, 12.0), Axis(7, 2.0, 0.0, 14.0)
    same = crops((30, 40))

    assert grid_transfer(axes, same, axes, same) is None
    assert grid_transfer(axes, crops((30, 41)), axes, same) is not None
