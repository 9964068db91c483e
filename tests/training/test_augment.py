from __future__ import annotations

import torch

from bench.training.augment import crop_and_flip


def test_result_is_a_shifted_or_mirrored_window_of_the_padded_image():
    """Every augmented image is found among all windows of the zero-padded image and their mirror images."""
    draw = torch.Generator().manual_seed(0)
    inputs = torch.rand((20, 2, 5, 5), generator=draw)
    found = crop_and_flip(inputs, draw, padding=2, flip=True)
    padded = torch.nn.functional.pad(inputs, (2, 2, 2, 2))
    mirrored = 0
    for image, source in zip(found, padded, strict=True):
        windows = [source[:, row : row + 5, column : column + 5] for row in range(5) for column in range(5)]
        straight = any(torch.equal(image, window) for window in windows)
        mirrored += any(torch.equal(image, window.flip(2)) for window in windows)
        assert straight or any(torch.equal(image, window.flip(2)) for window in windows)
    assert 3 < mirrored < 17


def test_nothing_to_do_is_nothing_done():
    """Without padding and flips the images are unchanged."""
    inputs = torch.rand(4, 1, 3, 3)
    assert torch.equal(crop_and_flip(inputs, torch.Generator(), padding=0, flip=False), inputs)
