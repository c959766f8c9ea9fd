"""Quality measures through torch-fidelity, on random features: only the trained Inception weights are missing here."""

from __future__ import annotations

import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddpmcodec.errors import DdpmError, ImageError, ModelError
from ddpmcodec.paper.quality import ImageFolder, Quality, measure

Pixels = NDArray[np.uint8]


@pytest.fixture(scope="module", autouse=True)
def extractors() -> None:
    import torch_fidelity  # takes seconds, which are not spent where other tests are chosen

    class RandomFeatures(torch_fidelity.FeatureExtractorBase):  # type: ignore[misc]
        """Twelve linear features of an image shrunk to 2x2; the matrix is the file of weights."""

        def __init__(
            self, name: str, features_list: list[str], feature_extractor_weights_path: str, **_: object
        ) -> None:
            super().__init__(name, features_list)
            self.linear = torch.nn.Linear(12, 12, bias=False)
            self.load_state_dict(torch.load(feature_extractor_weights_path))

        @staticmethod
        def get_provided_features_list() -> tuple[str, ...]:
            return ("linear",)

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "linear"

        def forward(self, images: Tensor) -> tuple[Tensor]:
            return (self.linear(torch.nn.functional.adaptive_avg_pool2d(images.float(), 2).flatten(1)),)

    class InceptionStem(torch_fidelity.FeatureExtractorInceptionV3):  # type: ignore[misc]
        """torch-fidelity's Inception network, stopped after its first layers: the others take minutes."""

        @staticmethod
        def get_default_feature_layer_for_metric(metric: str) -> str:
            return "64"

    torch_fidelity.register_feature_extractor("random-features", RandomFeatures)
    torch_fidelity.register_feature_extractor("inception-stem", InceptionStem)


@pytest.fixture(autouse=True)
def random_features(extractors: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of the Inception network."""
    monkeypatch.setattr("ddpmcodec.paper.quality.INCEPTION", "random-features")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    matrix = torch.randn(12, 12, generator=torch.Generator().manual_seed(2)) / 15
    torch.save({"linear.weight": matrix}, path)
    return path


def pictures(n: int, mean: float = 128, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    return np.clip(rng.normal(mean, 25, (n, 1, 1, 3)) + rng.normal(0, 12, (n, 8, 8, 3)), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return save(tmp_path / "real", pictures(40))


def save(folder: Path, images: Pixels) -> Path:
    folder.mkdir()
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{number:03}.png")
    return folder


def compared(folder: Path, samples: Pixels, weights: Path) -> Quality:
    return measure(save(folder.with_name("samples"), samples), folder, weights)


def features(images: Pixels, weights: Path) -> NDArray[np.float64]:
    matrix = torch.load(weights)["linear.weight"].double().numpy()
    blocks = images.astype(float).reshape(-1, 2, 4, 2, 4, 3).mean((2, 4))  # [N, 2, 2, 3]
    values: NDArray[np.float64] = blocks.transpose(0, 3, 1, 2).reshape(-1, 12) @ matrix.T
    return values


def test_the_same_images_are_perfect(folder: Path, weights: Path) -> None:
    found = compared(folder, pictures(40), weights)
    assert (found.samples, found.references) == (40, 40)
    assert found.fid == pytest.approx(0, abs=1e-3)
    assert (found.precision, found.recall) == (1, 1)


def test_fid_is_the_frechet_distance_of_gaussians_with_the_features_moments(folder: Path, weights: Path) -> None:
    """|m_1 - m_2|^2 + tr(S_1 + S_2 - 2 (S_1^1/2 S_2 S_1^1/2)^1/2), the root by a symmetric decomposition."""
    samples = pictures(50, mean=100, seed=1)
    ours, theirs = features(samples, weights), features(pictures(40), weights)
    covariances = np.cov(ours.T), np.cov(theirs.T)
    values, vectors = np.linalg.eigh(covariances[0])
    root = vectors * np.sqrt(values) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ covariances[1] @ root).clip(0)).sum()
    expected = ((ours.mean(0) - theirs.mean(0)) ** 2).sum() + sum(map(np.trace, covariances)) - 2 * cross
    assert compared(folder, samples, weights).fid == pytest.approx(expected, rel=1e-3)


def test_samples_of_one_kind_are_precise_and_recall_little(folder: Path, weights: Path) -> None:
    found = compared(folder, pictures(40)[:10].repeat(2, axis=0), weights)
    assert found.precision == 1
    assert found.recall < 0.7


def test_samples_of_another_kind_are_neither(folder: Path, weights: Path) -> None:
    found = compared(folder, pictures(20, mean=250, seed=1) // 32 * 32, weights)
    assert (found.precision, found.recall) == (0, 0)


def test_the_inception_score_counts_the_kinds_that_are_distinguished(folder: Path, weights: Path) -> None:
    """Here red and blue; in parts of twenty images, drawn at random, nearly half of them each."""
    alike = compared(folder, pictures(1).repeat(20, axis=0), weights)
    assert alike.inception_score == pytest.approx(1)
    assert alike.inception_score_std == pytest.approx(0, abs=1e-6)
    two = np.zeros((200, 8, 8, 3), np.uint8)
    two[:100, ..., 0], two[100:, ..., 2] = 255, 255
    found = measure(save(folder.with_name("two"), two), folder, weights)
    assert found.inception_score == pytest.approx(2, abs=0.1)
    assert 0 < found.inception_score_std < 0.1


def test_the_inception_network_takes_weights_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the right shapes, here random, and in half precision to make the file smaller."""
    import torch_fidelity

    class Untrained(torch_fidelity.FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, *_: object, **__: object) -> None:
            """Stay random."""

    torch.manual_seed(0)
    path = tmp_path / "inception.pth"
    torch.save({}, path)
    state = Untrained("untrained", ["64"], str(path)).state_dict()
    torch.save({name: value.half() if value.is_floating_point() else value for name, value in state.items()}, path)
    few = save(tmp_path / "few", pictures(10))
    monkeypatch.setattr("ddpmcodec.paper.quality.INCEPTION", "inception-stem")
    found = measure(few, few, path)
    assert found.fid == pytest.approx(0, abs=1e-3)
    assert found.precision == 1


# images


def test_images_of_any_mode_are_seen_in_colour(folder: Path) -> None:
    for number, mode in enumerate(("L", "RGBA", "P", "1")):
        path = folder / f"{number:03}.png"
        Image.open(path).convert(mode).save(path)
    images = ImageFolder(folder)
    assert len(images) == 40
    assert {(image.dtype, tuple(image.shape)) for image in (images[i] for i in range(40))} == {(torch.uint8, (3, 8, 8))}
    assert images[39].permute(1, 2, 0).numpy().tolist() == pictures(40)[39].tolist()


def test_a_missing_folder_and_one_of_few_images_are_errors(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"nowhere: .*no such folder"):
        ImageFolder(tmp_path / "nowhere")
    few = save(tmp_path / "few", pictures(9))
    (few / "notes.txt").write_text("not an image, and left out")
    with pytest.raises(ImageError, match="few: 9 images"):
        ImageFolder(few)


def test_an_image_of_another_size_is_named(folder: Path, weights: Path) -> None:
    Image.new("RGB", (9, 8)).save(folder / "017.png")
    with pytest.raises(ImageError, match=r"017.png: 9 x 8 .*000.png .*8 x 8"):
        measure(folder, folder, weights)


def test_a_file_that_is_no_image_is_named(folder: Path, weights: Path) -> None:
    (folder / "020.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"020\.png: not an image"):
        measure(folder, folder, weights)


# weights and the library


def test_missing_weights_are_an_error(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no\.pth: .*weights="):
        measure(folder, folder, tmp_path / "no.pth")


class Trap:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_pickle_is_refused_and_not_run(folder: Path, tmp_path: Path) -> None:
    torch.save(Trap(tmp_path / "sprung"), tmp_path / "trap.pth")
    with pytest.raises(ModelError, match=r"trap\.pth: not a PyTorch file"):
        measure(folder, folder, tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()
    torch.load(tmp_path / "trap.pth", weights_only=False)
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("content", [b"", b"weights", b"PK\3\4", pickle.dumps([1, 2], 2), pickle.dumps({"a": 1}, 2)])
def test_what_is_not_weights_is_an_error(folder: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.pth").write_bytes(content)
    with pytest.raises(ModelError, match=r"bad\.pth: not a PyTorch file"):
        measure(folder, folder, tmp_path / "bad.pth")


def test_weights_of_another_network_are_an_error(folder: Path, tmp_path: Path) -> None:
    torch.save({"linear.bias": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"other\.pth: .*random-features"):
        measure(folder, folder, tmp_path / "other.pth")


def test_without_torch_fidelity_the_error_says_how_to_get_it(
    folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch_fidelity", None)
    with pytest.raises(DdpmError, match=r"torch-fidelity.*pip install"):
        measure(folder, folder, weights)
