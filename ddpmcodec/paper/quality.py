"""Quality of samples beside a reference set: FID, Inception score, precision and recall, all by torch-fidelity.

FID: arXiv 1706.08500. Inception score: arXiv 1606.03498. Precision and recall: arXiv 1904.06991, here on the features
of FID, as in arXiv 2105.05233. torch-fidelity's Inception network gives the values of the original TensorFlow code. Its
weights are the user's to supply (`weights-inception-2015-12-05-6726825d.pth` of its release v0.2.0), and nothing is
downloaded. Needs `pip install 'ddpmcodec[quality]'`.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from ddpmcodec.errors import DdpmError, ImageError, ModelError
from ddpmcodec.formats.folders import IMAGE_SUFFIXES
from ddpmcodec.formats.image_files import load_image

INCEPTION = "inception-v3-compat"  # torch-fidelity's name of it
LEAST = 10  # images: the Inception score is a mean over ten parts
FEATURES = 2048  # of FID: its covariance is singular with fewer images


class Quality(NamedTuple):
    """Metrics by torch-fidelity of `samples` images beside `references`. The score's deviation is over ten parts."""

    samples: int
    references: int
    fid: float
    inception_score: float
    inception_score_std: float
    precision: float
    recall: float


class ImageFolder(Dataset[Tensor]):
    """The images of a folder, by name, as uint8 [3, H, W], all of one size. Raises ImageError."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise ImageError(f"{folder}: there is no such folder: name one of images")
        self.files = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if len(self.files) < LEAST:
            raise ImageError(
                f"{folder}: {len(self.files)} images: at least {LEAST} are needed, and thousands to compare"
            )
        self.shape = self._load(0).shape

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Tensor:
        image = self._load(index)
        if image.shape != self.shape:
            (height, width), (first_height, first_width) = image.shape[1:], self.shape[1:]
            raise ImageError(
                f"{self.files[index]}: {width} x {height} pixels, but {self.files[0].name} has {first_width} x "
                f"{first_height}: all images of a folder must have one size"
            )
        return image

    def _load(self, index: int) -> Tensor:
        path = self.files[index]
        image = load_image(path.read_bytes(), str(path), any_format=True).convert("RGB")
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def measure(samples: Path, reference: Path, weights: Path, *, batch: int = 64, verbose: bool = False) -> Quality:
    """Compare two folders of images. weights: of the Inception network.

    verbose: its progress, on standard error. Raises DdpmError without torch-fidelity, ModelError for weights that are
    not the network's, ImageError for images that cannot be read or differ in size.
    """
    try:
        import torch_fidelity
    except ImportError as error:
        raise DdpmError("sample quality needs torch-fidelity: pip install 'ddpmcodec[quality]'") from error
    check_weights(weights)
    ours, theirs = ImageFolder(samples), ImageFolder(reference)
    try:
        metrics = torch_fidelity.calculate_metrics(
            input1=ours,
            input2=theirs,
            isc=True,
            fid=True,
            prc=True,
            feature_extractor=INCEPTION,
            feature_extractor_weights_path=str(weights),
            batch_size=batch,
            cuda=torch.cuda.is_available(),
            cache=False,
            save_cpu_ram=True,  # distances in parts: those of 50,000 images take 10 GB at once
            verbose=verbose,
        )
    except RuntimeError as error:
        if "state_dict" not in str(error):
            raise
        raise ModelError(f"{weights}: not the weights of {INCEPTION}: get torch-fidelity's own") from error
    return Quality(
        len(ours),
        len(theirs),
        metrics[torch_fidelity.KEY_METRIC_FID],
        metrics[torch_fidelity.KEY_METRIC_ISC_MEAN],
        metrics[torch_fidelity.KEY_METRIC_ISC_STD],
        metrics[torch_fidelity.KEY_METRIC_PRECISION],
        metrics[torch_fidelity.KEY_METRIC_RECALL],
    )


def check_weights(path: Path) -> None:
    """Raises ModelError unless the file holds tensors alone: torch-fidelity would run code that a pickle contains."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ModelError(f"{path}: cannot read the weights ({error.strerror or error}); check weights=...") from error
    except MemoryError:
        raise
    except Exception as error:  # UnpicklingError, EOFError, RuntimeError, ..., by what is wrong with the file
        raise ModelError(f"{path}: not a PyTorch file of weights alone: get torch-fidelity's own") from error
    if not (isinstance(state, dict) and all(isinstance(value, Tensor) for value in state.values())):
        raise ModelError(f"{path}: not a PyTorch file of weights alone: get torch-fidelity's own")
