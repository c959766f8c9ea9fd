"""ddpmcodec sample: grids of images, folders of them, rows of progress and of shared latents."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec.formats.image_files import load_image
from ddpmcodec.paper import denoisers
from ddpmcodec.paper import gaussian_model as model_file
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.gaussian_network import Architecture, TrainableGaussian
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.sampling import Sampler, shown
from ddpmcodec.paper.schedule import ddpm_linear
from ddpmcodec.paper.unet import UNet, UNetConfig
from pictures import files_below

SIDE = 8
SMALL = ["--size", SIDE, "--levels", 3]


@pytest.fixture
def small(tiny_gaussian: Path) -> list[Any]:
    return [*SMALL, "--model", tiny_gaussian]


def tiles(picture: Path | BytesIO) -> NDArray[np.uint8]:
    """[rows, columns, SIDE, SIDE, 3] of a grid."""
    with Image.open(picture) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        pixels = np.asarray(image)
    rows, columns = (side // SIDE for side in pixels.shape[:2])
    return pixels.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2)


def test_a_square_grid_of_images_the_last_row_filled_up(ddpm: Any, tmp_path: Path, small: list[Any]) -> None:
    ended = ddpm("sample", "-o", tmp_path / "grid.png", "--count", 5, *small)
    assert (ended.code, ended.stdout, ended.stderr) == (0, b"", "")
    found = tiles(tmp_path / "grid.png")
    assert found.shape[:2] == (2, 3)
    flat = found.reshape(6, -1)
    assert not flat[5].any()
    assert len(np.unique(flat, axis=0)) == 6


def test_it_is_what_the_library_draws(ddpm: Any, tmp_path: Path, tiny_gaussian: Path, small: list[Any]) -> None:
    ddpm("sample", "-o", tmp_path / "grid.png", "--count", 1, "--seed", 7, *small)
    denoiser = find_denoiser(tiny_gaussian)
    sampler = Sampler(denoiser, denoiser.sampling_levels(3), torch.Generator().manual_seed(7))
    image = sampler.finish(sampler.start(1, SIDE, SIDE))[0]
    expected = torch.round(image).clamp(0, 255).permute(1, 2, 0).byte().tolist()
    assert tiles(tmp_path / "grid.png")[0, 0].tolist() == expected


@pytest.mark.parametrize("options", [[], ["--progressive"], ["--shared-latent", 2]], ids=str)
def test_pixels_are_enlarged_for_figures(ddpm: Any, tmp_path: Path, small: list[Any], options: list[Any]) -> None:
    for name, scale in (("one.png", 1), ("three.png", 3)):
        assert ddpm("sample", "-o", tmp_path / name, "--count", 2, "--scale", scale, *options, *small).code == 0
    one, three = (np.asarray(load_image((tmp_path / name).read_bytes(), name)) for name in ("one.png", "three.png"))
    assert np.array_equal(three, np.kron(one, np.ones((3, 3, 1), np.uint8)))


def test_a_seed_repeats_it_and_a_pipe_takes_it(ddpm: Any, small: list[Any]) -> None:
    first, again, other = (ddpm("sample", "-o", "-", "--seed", seed, *small).stdout for seed in (3, 3, 4))
    assert first == again != other
    assert tiles(BytesIO(first)).shape[:2] == (4, 4)


def test_methods_differ(ddpm: Any, small: list[Any]) -> None:
    methods: list[list[Any]] = [[], ["--method", "ddim"], ["--method", "ddim", "--eta", 1]]
    assert len({ddpm("sample", "-o", "-", "--count", 1, *method, *small).stdout for method in methods}) == 3


def test_a_folder_gets_a_png_for_each_image(ddpm: Any, tmp_path: Path, small: list[Any], names: Any) -> None:
    assert ddpm("sample", "-o", tmp_path, "--count", 2, *small).code == 0
    assert names(tmp_path) == ["sample-00000.png", "sample-00001.png"]
    first, second = (tiles(tmp_path / name)[0, 0] for name in names(tmp_path))
    assert not np.array_equal(first, second)
    assert ddpm("sample", "-o", tmp_path, "-f", "--count", 1, "--scale", 4, *small).code == 0
    with Image.open(tmp_path / "sample-00000.png") as image:
        assert image.size == (4 * SIDE, 4 * SIDE)


@pytest.mark.parametrize("method", [[], ["--method", "ddim", "--eta", 1]], ids=str)
def test_images_in_a_folder_are_those_of_the_seed_however_many_there_are(
    ddpm: Any, tmp_path: Path, small: list[Any], method: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And so the rest is drawn after an interruption, or more of them."""
    monkeypatch.setattr("ddpmcodec.cli.sample.BATCH", 3)
    few, all_of_them = tmp_path / "few", tmp_path / "all"
    for folder, count in ((few, 2), (all_of_them, 5)):
        folder.mkdir()
        assert ddpm("sample", "-o", folder, "--count", count, *method, *small).code == 0
    (few / "sample-00000.png").unlink()
    kept = (few / "sample-00001.png").stat().st_mtime_ns
    assert ddpm("sample", "-o", few, "--count", 5, "--skip-existing", *method, *small).code == 0
    assert (few / "sample-00001.png").stat().st_mtime_ns == kept
    for path in all_of_them.iterdir():
        assert (few / path.name).read_bytes() == path.read_bytes()
    other = ddpm("sample", "-o", few, "--count", 1, "-f", "--seed", 1, *method, *small)
    assert (other.code, (few / "sample-00000.png").read_bytes() == path.read_bytes()) == (0, False)


def test_only_images_of_a_folder_are_skipped(ddpm: Any, tmp_path: Path, small: list[Any]) -> None:
    for given in (("-o", tmp_path / "grid.png"), ("-o", tmp_path, "-f")):
        ended = ddpm("sample", *given, "--skip-existing", *small)
        assert (ended.code, "--skip-existing" in ended.stderr) == (2, True)
    (tmp_path / "sample-00000.png").write_bytes(b"mine")
    ended = ddpm("sample", "-o", tmp_path, "--count", 1, "--skip-existing", *small)
    assert (ended.code, "sample-00000.png: exists already" in ended.stderr) == (1, True)


def test_images_in_a_folder_are_not_overwritten(ddpm: Any, tmp_path: Path, small: list[Any], names: Any) -> None:
    (tmp_path / "sample-00001.png").write_bytes(b"mine")
    ended = ddpm("sample", "-o", tmp_path, "--count", 2, *small)
    assert ended.code == 1
    assert "sample-00001.png: exists already" in ended.stderr
    assert names(tmp_path) == ["sample-00001.png"]
    assert ddpm("sample", "-o", tmp_path, "--count", 2, "-f", *small).code == 0
    assert tiles(tmp_path / "sample-00001.png").shape[:2] == (1, 1)


def test_progress_is_a_row_for_each_image(ddpm: Any, tmp_path: Path, small: list[Any]) -> None:
    ended = ddpm("sample", "-o", tmp_path / "rows.png", "--count", 2, "--progressive", *small)
    assert ended.code == 0
    rows = tiles(tmp_path / "rows.png")
    assert rows.shape[:2] == (2, 10)
    finished = tiles(BytesIO(ddpm("sample", "-o", "-", "--count", 2, *small).stdout))[0]
    assert np.array_equal(rows[:, -1], finished)


def test_images_that_share_a_latent(ddpm: Any, tmp_path: Path, small: list[Any]) -> None:
    """A row for each t from the noisiest: the latent, then its images. DDIM draws nothing: they are one image then."""
    rows = ["--shared-latent", 2, "--shared-latent", 3, "--count", 4]
    assert ddpm("sample", "-o", tmp_path / "rows.png", *rows, *small).code == 0
    found = tiles(tmp_path / "rows.png")
    assert found.shape[:2] == (2, 5)
    assert len(np.unique(found.reshape(10, -1), axis=0)) == 10
    certain = tiles(BytesIO(ddpm("sample", "-o", "-", *rows, "--method", "ddim", *small).stdout))
    assert len(np.unique(certain[:, 1:].reshape(8, -1), axis=0)) == 1


def test_latents_of_an_image(ddpm: Any, photo: Path, tmp_path: Path, pixels: Any) -> None:
    """Shown as z_t = alpha_t x + sigma_t n; of hardly any noise a network that adds nothing gives the image back."""
    network = TrainableGaussian(Architecture(width=8, inner_width=8, down=1, bottom=1, up=1))
    network.vector("head.bias").data.zero_()
    path = tmp_path / "untrained.safetensors"
    path.write_bytes(model_file.export(network, name="untrained"))
    options = ["--image", photo, "--shared-latent", 1, "--count", 2, "--levels", 3, "--model", path]
    assert ddpm("sample", "-o", tmp_path / "rows.png", *options).code == 0
    with Image.open(tmp_path / "rows.png") as image:
        found = np.asarray(image).reshape(20, 3, 24, 3).swapaxes(0, 1).astype(float)
    assert np.abs(found[1] - pixels).mean() < 3
    latent = shown(torch.from_numpy(pixels.astype(float)) - 127.5, 0.75).numpy()
    assert np.abs(found[0] - latent).mean() == pytest.approx(0.75 * np.sqrt(2 / np.pi), abs=0.2)


def test_a_folder_that_is_missing_is_made(ddpm: Any, small: list[Any], tmp_path: Path) -> None:
    options = [*small, "--count", 2]
    assert ddpm("sample", "-o", f"{tmp_path / 'new'}/", *options).code == 0
    assert files_below(tmp_path / "new") == ["sample-00000.png", "sample-00001.png"]
    ended = ddpm("sample", "-o", f"{tmp_path / 'new' / 'sample-00000.png' / 'x'}/", *options)
    assert (ended.code, "x: cannot be written (" in ended.stderr) == (1, True)
    assert ddpm("sample", "-o", f"{tmp_path / 'none'}/", *SMALL, "--model", tmp_path / "no.safetensors").code == 4
    assert files_below(tmp_path) == ["new/sample-00000.png", "new/sample-00001.png"]


def test_a_checkpoint_of_the_papers_network(ddpm: Any, tmp_path: Path) -> None:
    torch.manual_seed(0)
    config = UNetConfig(channels=8, multipliers=(1, 1), attention=(), blocks=1, groups=4)
    file = tmp_path / "unet.safetensors"
    file.write_bytes(denoisers.export_checkpoint(PaperDenoiser(UNet(config), ddpm_linear(20, 1e-3, 0.3))))
    options = ["--size", SIDE, "--count", 2, "--model", file]
    assert ddpm("sample", "-o", tmp_path / "grid.png", "--levels", 20, *options).code == 0
    assert tiles(tmp_path / "grid.png").shape[:2] == (1, 2)
    ended = ddpm("sample", "-o", tmp_path / "more.png", "--levels", 21, *options)
    assert ended.code == 2
    assert "--levels: can keep 2 to 20 " in ended.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "Missing option '-o'"),
        (["-o", "x.png", "--eta", 0.5], "--eta belongs to --method ddim"),
        (["-o", "x.jpg"], "-o x.jpg: pictures are PNG files"),
        (["-o", "folder/", "--progressive"], "which folder/ is not"),
        (["-o", "x.png", "--progressive", "--shared-latent", 2], "--progressive and --shared-latent"),
        (["-o", "x.png", "--shared-latent", 101], "--shared-latent 101: timesteps are 1 to 100"),
        (["-o", "x.png", "--image", "a.png"], "--image needs --shared-latent"),
        (["-o", ".", "--progressive"], "which . is not"),
    ],
)
def test_wrong_usage_is_2(ddpm: Any, options: list[Any], message: str) -> None:
    ended = ddpm("sample", *options)
    assert (ended.code, ended.stdout) == (2, b"")
    assert message in ended.stderr


def test_an_existing_grid_stays(ddpm: Any, photo: Path, small: list[Any]) -> None:
    before = photo.read_bytes()
    ended = ddpm("sample", "-o", photo, *small)
    assert (ended.code, photo.read_bytes()) == (1, before)
    assert ended.stderr.startswith(f"ddpmcodec: {photo}: exists already: use -f")
    ended = ddpm("sample", "-o", photo, "-f", "--image", photo, "--shared-latent", 1, *small)
    assert (ended.code, photo.read_bytes()) == (1, before)
    assert "is the input itself" in ended.stderr


def test_what_is_no_image_and_no_model_are_named(ddpm: Any, tmp_path: Path, small: list[Any], names: Any) -> None:
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    ended = ddpm("sample", "-o", tmp_path / "x.png", "--image", bad, "--shared-latent", 1, *small)
    assert ended.code == 1
    assert ended.stderr.startswith(f"ddpmcodec: {bad}: not an image")
    ended = ddpm("sample", "-o", tmp_path / "x.png", "--model", tmp_path / "missing")
    assert ended.code == 4
    assert f"{tmp_path / 'missing'}: there is no such" in ended.stderr
    assert names(tmp_path) == ["bad.png"]
