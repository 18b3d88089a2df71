"""JPEG decoding by Pillow, which is optional: import this file only when an image needs it."""

import io
import itertools

import numpy as np
from numpy.typing import NDArray
from PIL import Image  # pyright: ignore[reportMissingImports]


def decode_images(jpeg: bytes, offsets: NDArray[np.int64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Decode RGB images that lie end to end.

    Parameters
    ----------
    jpeg : bytes
        The files, one after the other.
    offsets : ndarray of int64, shape (n + 1,)
        Image k is ``jpeg[offsets[k]:offsets[k + 1]]``.
    size : (int, int)
        Height and width that every image must have.

    Returns
    -------
    ndarray of uint8, shape (n, height, width, 3)

    Raises
    ------
    ValueError
        If an image is damaged, no JPEG, not RGB or of another size; the message says which.
    """
    height, width = size
    bounds = offsets.tolist()
    images = np.empty((len(bounds) - 1, height, width, 3), np.uint8)
    for k, (start, stop) in enumerate(itertools.pairwise(bounds)):
        try:
            with Image.open(io.BytesIO(jpeg[start:stop]), formats=["JPEG"]) as image:
                # The header is read by now, the pixels are not: a giant image ends here.
                if image.size != (width, height) or image.mode != "RGB":
                    raise ValueError(f"size {image.size[1]}x{image.size[0]}, mode {image.mode}")
                images[k] = np.asarray(image)
        except Exception as error:  # a damaged image can fail in any way, and each means the same to the caller
            raise ValueError(f"image {k} that cannot be used ({type(error).__name__}: {error})") from error
    return images
