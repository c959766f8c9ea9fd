"""Which model an archive needs: refused when it is missing, or another one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import archive, models
from ddpmcodec.archive import packing
from ddpmcodec.errors import ModelError
from ddpmcodec.models.context import ContextModel
from ddpmcodec.models.registry import find
from pictures import Pictures, context_model, create, crops, whole

pytestmark = pytest.mark.usefixtures("one_thread")


def test_an_archive_of_another_model_is_refused(data: bytes, model: ContextModel, tmp_path: Path) -> None:
    (tmp_path / "other.safetensors").write_bytes(context_model("other"))
    other = find(tmp_path / "other.safetensors")
    with pytest.raises(ModelError) as raised:
        archive.extract(data, model=other)
    assert all(used.id[:4].hex() in str(raised.value) for used in (model, other))
    assert "'other'" in str(raised.value)
    with pytest.raises(ModelError, match="written with"):
        archive.extract(data)


def test_files_in_an_archive_need_their_model_too(model: ContextModel) -> None:
    found = create(crops(1, 70, 60), model)
    with pytest.raises(ModelError, match=f"written with .*{model.id[:4].hex()}"):
        archive.test(found)


def test_a_model_that_is_nowhere_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model of that name"):
        create(crops(1), tmp_path / "nowhere.safetensors")
    (tmp_path / "noise").write_bytes(b"no model")
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        create(crops(1), tmp_path / "noise")


def smooth(count: int) -> Pictures:
    """A few random colours each, enlarged."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 256, (count, 5, 5, 3)).astype(np.uint8)
    large = [Image.fromarray(colours).resize((32, 32), Image.Resampling.BICUBIC) for colours in drawn]
    return {f"smooth-{n:02}.png": image for n, image in enumerate(large)}


@pytest.mark.parametrize("pictures", [crops(12, 24, 20), smooth(12)], ids=["photographs", "smooth"])
def test_a_block_is_coded_by_the_embedded_model_that_suits_it(pictures: Pictures) -> None:
    sizes = {name: len(create(pictures, name)) for name in models.CONTEXT_MODELS}
    found = create(pictures, None)
    assert len(found) == min(sizes.values())
    assert whole(pictures, archive.extract(found))


def test_a_block_of_few_images_is_tried_too() -> None:
    pictures = crops(3, 24, 20)
    assert create(pictures, None) == create(pictures, models.PHOTO)


def test_without_the_model_for_photographs_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "names", lambda: (models.THUMBNAIL,))
    pictures = crops(12, 24, 20)
    assert create(pictures, None) == create(pictures, models.THUMBNAIL)


def test_blocks_of_one_archive_may_have_different_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "BLOCK_IMAGES", 12)
    pictures = crops(12, 24, 20) | smooth(12)
    found = create(pictures, None)
    assert archive.describe(found)["model_numbers"] == [models.NUMBERS[name] for name in models.CONTEXT_MODELS]
    assert whole(pictures, archive.extract(found))
    assert whole(pictures, archive.extract(found, model="photo"))


def test_a_given_model_is_found_beside_the_embedded_ones(data: bytes, model: ContextModel) -> None:
    """Here are runs by both, and files by both."""
    pictures = dict(archive.extract(data, model=model))
    more, large = crops(13, 24, 20), crops(1, 70, 60)
    added = {f"more-{name}": image for name, image in more.items()}
    of_model = {f"large-{name}": image for name, image in large.items()}
    of_photo = {f"photo-{name}": image for name, image in large.items()}
    together = archive.join([data, create(added, None), create(of_model, model), create(of_photo, "photo")])
    assert whole(pictures | added | of_model | of_photo, archive.extract(together, model=model))


def test_an_embedded_model_has_a_name() -> None:
    pictures = crops(3)
    found = create(pictures, "photo")
    assert archive.describe(found)["model_numbers"] == [models.NUMBERS["photo"]]
    assert archive.describe(found)["model_ids"] == []
    assert whole(pictures, archive.extract(found))
    assert whole(pictures, archive.extract(found, model="photo"))
