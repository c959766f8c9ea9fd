"""encode and decode of many files: trees, files of one size together, summaries, JSON, refusals before any work."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.codec import encoder
from ddpmcodec.codec.decoder import decode_details
from pictures import PHOTO, files_below


def objects(stdout: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout.splitlines()]


@pytest.mark.parametrize("options", [[], ["--jobs", 1], ["--jobs", 3, "--threads", 3]], ids=str)
def test_a_tree_is_mirrored_there_and_back(ddpm: Any, tree: Path, options: list[Any]) -> None:
    out, back = tree.parent / "out", tree.parent / "back"
    ended = ddpm("encode", "-r", tree, "-o", out, *options)
    assert (ended.code, ended.stdout) == (0, b"")
    assert files_below(out) == ["a.ddpm", "b.ddpm", "below/c.ddpm", "below/d.ddpm"]
    for name in ("a", "b", "below/c", "below/d"):
        assert (out / f"{name}.ddpm").read_bytes() == codec.encode(tree / f"{name}.png")
    assert ddpm("decode", "-r", out, "-o", back, *options).code == 0
    for name in files_below(back):
        assert np.array_equal(np.asarray(Image.open(back / name)), np.asarray(Image.open(tree / name))), name
    assert len(files_below(back)) == 4


def test_two_images_of_a_tree_do_not_share_an_output(ddpm: Any, tree: Path) -> None:
    """Neither is encoded, nothing is overwritten, and the others are."""
    Image.open(tree / "a.png").save(tree / "a.gif")
    out = tree.parent / "out"
    ended = ddpm("encode", "-r", "-f", tree, "-o", out, "-e", 1)
    assert (ended.code, "--keep-suffix" in ended.stderr) == (1, True)
    assert "a.gif" in ended.stderr
    assert files_below(out) == ["b.ddpm", "below/c.ddpm", "below/d.ddpm"]
    assert ddpm("encode", "-r", tree, "-o", out, "-e", 1, "--keep-suffix").code == 0
    assert {"a.gif.ddpm", "a.png.ddpm"} <= set(files_below(out))


def test_the_summary_adds_up(ddpm: Any, tree: Path) -> None:
    lines = ddpm("encode", "-r", tree, "-o", tree.parent / "out").stderr.splitlines()
    read = sum(path.stat().st_size for path in tree.rglob("*.png"))
    written = sum(path.stat().st_size for path in (tree.parent / "out").rglob("*.ddpm"))
    assert lines[0] == f"ddpmcodec: {tree}: left out 1 of 5 files that are no image by name: .txt"
    assert len([line for line in lines if " bpp, ratio " in line]) == 4
    assert lines[-1] == f"ddpmcodec: 4 of 4 files: {read} -> {written} bytes, ratio {read / written:.3f}"
    assert len(lines) == 6


def test_json_is_a_line_a_file_and_the_summary(ddpm: Any, tree: Path, tmp_path: Path) -> None:
    (tree / "bad.png").write_bytes(b"no image")
    ended = ddpm("encode", "-r", tree, "-o", tmp_path / "out", "--json", "--strict")
    found = objects(ended.stdout)
    by_name = {each["file"]: each for each in found if "file" in each}
    assert (ended.code, len(found), found[-1]["summary"]["exit_code"]) == (1, 6, 1)
    assert found[-1]["summary"] | {"input_bytes": 0, "output_bytes": 0, "ratio": 0} == {
        **{"files": 5, "done": 4, "planned": 0, "skipped": 0, "failed": 1, "not_done": 0},
        **{"input_bytes": 0, "output_bytes": 0, "ratio": 0, "exit_code": 1},
        "formats": {"PNG": found[-1]["summary"]["formats"]["PNG"]},
        "kinds": {"pixels": found[-1]["summary"]["formats"]["PNG"]},
    }
    read, written = (tree / "a.png").stat().st_size, (tmp_path / "out" / "a.ddpm").stat().st_size
    assert by_name[str(tree / "a.png")] == {
        **{"file": str(tree / "a.png"), "output": str(tmp_path / "out" / "a.ddpm"), "width": 12, "height": 10},
        **{"mode": "RGB", "format": "PNG", "bpp": 8 * written / 120, "ratio": read / written},
        **{"input_bytes": read, "output_bytes": written, "coding": "context model", "kind": "pixels"},
    }
    assert by_name[str(tree / "bad.png")]["exit_code"] == 1
    assert by_name[str(tree / "bad.png")]["error"].startswith(f"{tree / 'bad.png'}: not an image")
    assert f"ddpmcodec: {tree / 'bad.png'}: not an image" in ended.stderr
    assert " bpp" not in ended.stderr


def test_json_of_a_preview_says_what_was_seen(ddpm: Any, file: Path) -> None:
    size = len(codec.truncate(file.read_bytes(), step=1)) + 8
    first, summary = objects(ddpm("decode", file, "--max-bytes", size, "--json").stdout)
    seen = {key: first[key] for key in ("steps_done", "steps", "exact", "damaged")}
    assert seen == {"steps_done": 1, "steps": 2, "exact": False, "damaged": False}
    assert first["bytes_used"] == decode_details(file.read_bytes()[:size], partial=True).bytes_used > size - 8
    assert first["noise_level"] == pytest.approx(32 / 12**0.5)
    assert summary["summary"]["done"] == 1


def test_json_says_how_exact_every_image_is(ddpm: Any, file: Path, coded: bytes, jpeg: Path) -> None:
    """Alone, together with others, a part, reduced, and the JPEG itself."""
    other = file.with_name("other.ddpm")
    other.write_bytes(coded)
    assert ddpm("encode", jpeg).code == 0
    photo = jpeg.with_suffix(".ddpm")
    for given in ([file], [file, other], [file, "--crop", "0,0,5,5"], [photo, "--original"]):
        for facts in objects(ddpm("decode", *given, "--json", "-f").stdout)[:-1]:
            known = {key: facts[key] for key in ("exact", "lossy", "damaged")}
            assert known == {"exact": True, "lossy": False, "damaged": False}
            assert facts["steps_done"] == facts["steps"]
    small, _ = objects(ddpm("decode", file, "--reduce", 4, "--json", "-f").stdout)
    assert not small["exact"]
    assert small["steps_done"] < small["steps"]


def test_json_and_an_image_do_not_share_standard_output(ddpm: Any, photo: Path) -> None:
    ended = ddpm("encode", photo, "-o", "-", "--json")
    assert (ended.code, ended.stdout) == (2, b"")
    assert "both be on standard output" in ended.stderr


def test_one_bad_file_of_a_size_stops_no_other(ddpm: Any, tree: Path) -> None:
    """Its start is that of the others, with which it would be coded."""
    whole = (tree / "b.png").read_bytes()
    (tree / "b.png").write_bytes(whole[:-30])
    ended = ddpm("encode", "-r", tree, "--strict")
    assert ended.code == 1
    assert f"ddpmcodec: {tree / 'b.png'}: the image cannot be read" in ended.stderr
    assert ended.stderr.endswith(", 1 failed\n")
    assert files_below(tree)[:2] == ["a.ddpm", "a.png"]
    assert "b.ddpm" not in files_below(tree)
    assert {"below/c.ddpm", "below/d.ddpm"} < set(files_below(tree))


def test_the_highest_code_of_all_files_is_returned(ddpm: Any, foreign: Path, coded: bytes) -> None:
    (foreign.parent / "a.ddpm").write_bytes(coded[:-1])
    (foreign.parent / "b.ddpm").write_bytes(coded)
    ended = ddpm("decode", "-r", foreign.parent, "-o", foreign.parent / "out")
    assert (ended.code, files_below(foreign.parent / "out")) == (4, ["b.png"])
    written = (foreign.parent / "out" / "b.png").stat().st_size
    assert ended.stderr.endswith(f"1 of 3 files: {len(coded)} -> {written} bytes, 2 failed\n")


def test_what_exists_is_skipped_or_refused_and_the_rest_is_done(ddpm: Any, tree: Path) -> None:
    (tree / "a.ddpm").write_bytes(b"old")
    refused = ddpm("encode", "-r", tree)
    assert (refused.code, (tree / "a.ddpm").read_bytes()) == (1, b"old")
    assert f"{tree / 'a.ddpm'}: exists already: use -f" in refused.stderr
    (tree / "a.ddpm").write_bytes(codec.encode(tree / "b.png"))
    before = (tree / "a.ddpm").read_bytes()
    (tree / "b.ddpm").unlink()
    skipping = ddpm("encode", "-r", tree, "--skip-existing")
    assert (skipping.code, (tree / "a.ddpm").read_bytes()) == (0, before)
    assert skipping.stderr.endswith(", 3 skipped\n")
    assert (tree / "b.ddpm").read_bytes() == codec.encode(tree / "b.png")
    assert ddpm("encode", "-r", tree, "--skip-existing", "-f").code == 2


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such pipes")
@pytest.mark.parametrize("command", ["encode", "decode"])
def test_a_pipe_in_the_place_of_an_output_is_not_waited_for(ddpm: Any, tree: Path, command: str) -> None:
    assert ddpm("encode", tree / "a.png").code == 0
    source, output = (tree / "a.png", tree / "a.ddpm") if command == "encode" else (tree / "a.ddpm", tree / "a.png")
    output.unlink()
    os.mkfifo(output)
    refused = ddpm(command, source, "--skip-existing")
    assert (refused.code, f"{output}: exists, but" in refused.stderr) == (1, True)


def test_what_was_changed_since_is_done_again(ddpm: Any, tree: Path) -> None:
    """By time, and by size where it was changed at once."""
    later = (tree / "a.png").stat().st_mtime + 100
    assert ddpm("encode", "-r", tree).code == 0
    shutil.copy(tree / "b.png", tree / "a.png")
    os.utime(tree / "a.png", (later, later))
    with Image.open(tree / "b.png") as image:
        image.crop((0, 0, 5, 4)).save(tree / "b.png")
    assert ddpm("encode", "-r", tree, "--skip-existing").stderr.endswith(f"{len(files_below(tree)) // 2 - 2} skipped\n")
    for name in ("a", "b"):
        assert (tree / f"{name}.ddpm").read_bytes() == codec.encode(tree / f"{name}.png")
    alone = ddpm("encode", tree / "a.png", "--skip-existing")
    assert "pixels were not compared" in alone.stderr


@pytest.mark.parametrize("change", ["none", "image", "output"])
def test_pixels_are_compared_before_an_image_is_removed(alone: Any, tmp_path: Path, change: str) -> None:
    """With what an image became that an older one of its size replaced, or damage that only decoding shows."""
    image, file = tmp_path / "a.png", tmp_path / "a.ddpm"
    photo = Image.open(PHOTO).convert("RGB").crop((0, 0, 300, 250))
    photo.save(image)
    assert alone("encode", image, "--effort", 1).code == 0
    if change == "image":
        photo.rotate(180).save(image)
        os.utime(image, (10**9, 10**9))
    if change == "output":
        damaged = bytearray(file.read_bytes())
        damaged[-99] ^= 1
        file.write_bytes(damaged)
    before, pixels = file.read_bytes(), Image.open(image).tobytes()
    skipped = alone("encode", image, "--skip-existing")
    assert (skipped.code, "pixels were not compared" in skipped.stderr) == (0, True)
    assert alone("encode", image, "--skip-existing", "--rm").code == 0
    assert (image.exists(), codec.decode(file).tobytes()) == (False, pixels)
    assert (file.read_bytes() == before) == (change == "none")


@pytest.mark.parametrize(
    ("nanoseconds", "later", "is_done_again"), [(500, 10**6, True), (0, 10**6, False), (500, 100, False)]
)
def test_times_are_compared_as_finely_as_the_disk_keeps_them(
    ddpm: Any, tree: Path, nanoseconds: int, later: int, is_done_again: bool
) -> None:
    """Of an output of a whole second the disk may have rounded the time."""
    time = 1_700_000_000 * 10**9 + nanoseconds
    os.utime(tree / "a.png", ns=(time, time))
    assert ddpm("encode", tree / "a.png", "-q").code == 0
    shutil.copy(tree / "b.png", tree / "a.png")
    os.utime(tree / "a.png", ns=(time + later, time + later))
    assert ddpm("encode", tree / "a.png", "--skip-existing", "--json").code == 0
    is_new = (tree / "a.ddpm").read_bytes() == codec.encode(tree / "b.png")
    assert is_new == is_done_again


def test_on_a_full_disk_nothing_more_is_worked_on(
    ddpm: Any, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, data: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("ddpmcodec.formats.files.write_all", full)
    ended = ddpm("encode", "-r", tree, "-o", tmp_path / "out", "--jobs", 1, "--json")
    assert (ended.code, files_below(tmp_path / "out")) == (1, [])
    assert ended.stderr.count("cannot be written (No space left on device)") == 2
    assert "3 files not done, as " in ended.stderr
    summary = objects(ended.stdout)[-1]["summary"]
    assert (summary["files"], summary["done"], summary["failed"], summary["not_done"]) == (4, 0, 1, 3)


def test_a_small_picture_of_a_file_is_not_taken_for_all_of_it(ddpm: Any, tree: Path) -> None:
    ddpm("encode", tree / "a.png")
    (tree / "a.png").unlink()
    assert ddpm("decode", tree / "a.ddpm", "--reduce", 4).code == 0
    assert ddpm("decode", tree / "a.ddpm", "--skip-existing").code == 0
    with Image.open(tree / "a.png") as image:
        assert image.size == (codec.info(tree / "a.ddpm")["width"], codec.info(tree / "a.ddpm")["height"])


@pytest.mark.parametrize("content", [b"", b"old", bytes(100), b"\x89PNG\r\n\x1a\n and no end"])
def test_what_is_not_whole_is_not_taken_for_done(ddpm: Any, tree: Path, content: bytes) -> None:
    for command, source, output in (("encode", "a.png", "a.ddpm"), ("decode", "a.ddpm", "a.png")):
        (tree / output).write_bytes(content)
        ended = ddpm(command, tree / source, "--skip-existing")
        assert (ended.code, (tree / output).read_bytes()) == (1, content)
        assert f"{tree / output}: exists, but" in ended.stderr
        (tree / "a.png").write_bytes((tree / "b.png").read_bytes())
        (tree / "a.ddpm").write_bytes(codec.encode(tree / "a.png"))
        assert ddpm(command, tree / source, "--skip-existing").code == 0


def test_a_small_file_that_is_cut_off_is_not_taken_for_done(ddpm: Any, tree: Path) -> None:
    whole = codec.encode(tree / "a.png")
    for content, code in ((whole[:-5], 1), (whole, 0)):
        (tree / "a.ddpm").write_bytes(content)
        assert ddpm("encode", tree / "a.png", "--skip-existing").code == code


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_permissions_never_widen_and_times_are_kept(ddpm: Any, tree: Path) -> None:
    (tree / "a.png").chmod(0o600)
    os.utime(tree / "a.png", ns=(10**18, 10**18 + 7 * 10**9))
    assert ddpm("encode", tree / "a.png").code == 0
    (tree / "a.png").unlink()
    assert ddpm("decode", tree / "a.ddpm").code == 0
    for made in (tree / "a.ddpm", tree / "a.png"):
        status = made.stat()
        assert (status.st_mode & 0o777, status.st_mtime_ns) == (0o600, 10**18 + 7 * 10**9)


def test_a_dry_run_says_what_would_be_written(ddpm: Any, tree: Path) -> None:
    (tree / "a.ddpm").write_bytes(b"")
    before = files_below(tree)
    ended = ddpm("encode", "-r", tree, "--dry-run")
    places = [f"{tree / name}.png -> {tree / name}.ddpm" for name in ("b", "below/c", "below/d")]
    assert (ended.code, ended.stdout.decode().splitlines()) == (1, places), "one exists"
    assert "3 files would be tried, 1 refused" in ended.stderr
    (tree / "b.ddpm").write_bytes(b"")
    nothing = ddpm("encode", tree / "a.png", tree / "b.png", "--dry-run")
    assert "0 files would be tried, 2 refused" in nothing.stderr
    (tree / "b.ddpm").unlink()
    found = objects(ddpm("encode", "-r", tree, "--dry-run", "--json", "-f").stdout)
    assert [each["output"] for each in found if "planned" in each] == [
        str(tree / f"{name}.ddpm") for name in ("a", "b", "below/c", "below/d")
    ]
    summary = found[-1]["summary"]
    assert (summary["files"], summary["done"], summary["planned"], summary["failed"]) == (4, 0, 4, 0)
    assert files_below(tree) == before


@pytest.mark.parametrize("quiet", [[], ["-q"]])
def test_of_jpegs_a_run_warns_once(ddpm: Any, tmp_path: Path, tiny: np.ndarray, quiet: list[str]) -> None:
    for name in ("a.jpg", "b.jpg"):
        Image.fromarray(tiny).save(tmp_path / name)
    ended = ddpm("encode", tmp_path / "a.jpg", tmp_path / "b.jpg", "--jobs", 1, "--pixels", *quiet)
    assert ended.stderr.count("a JPEG grows") == (0 if quiet else 1)
    assert (f"{tmp_path / 'a.jpg'}: a JPEG grows" in ended.stderr) == (not quiet)


@pytest.mark.parametrize("size", [(24, 100), (0, 0)], ids=["usual", "unknown"])
def test_one_bar_over_all_files_for_a_person_who_watches(tree: Path, size: tuple[int, int]) -> None:
    master, terminal = os.openpty()
    termios.tcsetwinsize(terminal, size)
    command = [sys.executable, "-m", "ddpmcodec", "encode", "-r", tree, "-o", tree.parent / "out"]
    subprocess.run(command, stderr=terminal, check=True)
    shown = os.read(master, 100_000).decode()
    os.close(terminal)
    os.close(master)
    assert "4 files:   0%|" in shown
    assert "B/s" in shown
    assert " 4 of 4 files: " in shown.splitlines()[-1]


@pytest.mark.parametrize("options", [[], ["--rm"]], ids=str)
def test_a_source_that_changes_meanwhile_is_not_taken_for_what_was_encoded(
    ddpm: Any, photo: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    encode_with = encoder.encode_with

    def encode_and_change(*arguments: Any) -> list[bytes]:
        files = encode_with(*arguments)
        Image.fromarray(255 - pixels).save(photo)
        return files

    monkeypatch.setattr(encoder, "encode_with", encode_and_change)
    ended = ddpm("encode", photo, *options)
    assert (ended.code, files_below(photo.parent)) == (1, [photo.name])
    assert f"{photo}: was changed" in ended.stderr
    assert np.array_equal(np.asarray(Image.open(photo)), 255 - pixels)
