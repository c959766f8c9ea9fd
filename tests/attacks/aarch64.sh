#!/usr/bin/env bash
# Does another processor compute the same bits? Decodes all golden files, and runs the programs of test_exactness and
# test_gaussian_exactness, on an emulated aarch64 (64-bit ARM), and compares with the golden pictures and with this
# machine.
#
#     PYTHON=python3 tests/attacks/aarch64.sh FOLDER
#
# Needs Debian or Ubuntu with apt, root or sudo if qemu-user-static is not installed, Debian's keys (package
# debian-archive-keyring), 2 GB in FOLDER, and a Python in which ddpmcodec and pip are installed. FOLDER gets Debian's
# arm64 Python, wheels and kernels, all kept for the next run. Nothing is registered (no binfmt_misc, no foreign
# architecture). Emulation is slow: under an hour of one core. QEMU_CPU chooses the processor (qemu-aarch64-static
# -cpu help).
#
# Prints one line for each of three comparisons; the exit code is 1 if one of them differs.
set -euo pipefail

folder=$(mkdir -p "${1:?usage: $0 FOLDER}" && cd "$1" && pwd)
checkout=$(cd "$(dirname "$0")/../.." && pwd)
python=$(command -v "${PYTHON:-python3}")
export OMP_NUM_THREADS=1 QEMU_CPU=${QEMU_CPU:-neoverse-n1} # its instructions are emulated faster than those of "max"
cd "$checkout"

get_emulator() {
    command -v qemu-aarch64-static >/dev/null && return
    local sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo)
    "${sudo[@]}" apt-get update -q
    "${sudo[@]}" apt-get install -qy --no-install-recommends qemu-user-static
}

get_root() { # apt with a configuration of its own resolves what Python needs; the packages are only unpacked
    local apt=$folder/apt deb
    mkdir -p "$apt"/{lists,archives}/partial "$apt/parts" "$folder/root/usr/"{bin,lib}
    : >"$apt/status"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" \
        >"$apt/sources.list"
    cat >"$apt/apt.conf" <<END
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "";
Dir::State "$apt";
Dir::State::status "$apt/status";
Dir::Cache "$apt";
Dir::Etc::sourcelist "$apt/sources.list";
Dir::Etc::sourceparts "$apt/parts";
Dir::Etc::preferencesparts "$apt/parts";
END
    APT_CONFIG=$apt/apt.conf apt-get update -q
    APT_CONFIG=$apt/apt.conf apt-get install -qy --download-only python3 libstdc++6 libgomp1
    ln -sfn usr/lib "$folder/root/lib"
    for deb in "$apt"/archives/*.deb; do dpkg -x "$deb" "$folder/root"; done
}

get_wheels() { # pip would follow the requirements of this machine's PyTorch, with CUDA, so they are listed
    local wheel
    local runtime=(click numba llvmlite numpy pillow safetensors tqdm "torch<2.11") # later ones come with CUDA
    local of_torch=(filelock fsspec jinja2 markupsafe mpmath networkx setuptools sympy typing-extensions)
    local tests=(pytest hypothesis iniconfig packaging pluggy pygments sortedcontainers)
    "$python" -m pip download -q --no-deps --only-binary=:all: --python-version 3.13 \
        --platform manylinux_2_28_aarch64 --platform manylinux_2_27_aarch64 --platform manylinux2014_aarch64 \
        -d "$folder/wheels" "${runtime[@]}" "${of_torch[@]}" "${tests[@]}"
    for wheel in "$folder"/wheels/*.whl; do "$python" -m zipfile -e "$wheel" "$folder/site"; done
}

emulated() {
    PYTHONPATH=$checkout:$folder/site PYTHONPYCACHEPREFIX=$folder/pycache NUMBA_CACHE_DIR=$folder/numba \
        qemu-aarch64-static -L "$folder/root" "$folder/root/usr/bin/python3.13" "$@"
}

embedded() { # its file
    PYTHONPATH=$checkout "$python" -c "from ddpmcodec import models; print(models.path(models.$1))"
}

compare() { # NAME, then a program that prints one line of JSON, and its arguments
    local name=$1 verdict
    shift
    PYTHONPATH=$checkout "$python" "$@" >"$folder/here.json"
    emulated "$@" >"$folder/there.json"
    verdict=$("$python" - "$folder"/{here,there}.json <<'END'
import json, sys
here, there = (json.load(open(path)) for path in sys.argv[1:])
names = here.keys() | there.keys()
others = sorted(n for n in names if here.get(n) != there.get(n) or len(here[n]) != 64)  # or a complaint, no hash
print(f"DIFFERENT: {', '.join(others)}" if others else f"the same {len(here)} hashes")
END
    )
    echo "$name: $verdict"
    [ "${verdict#DIFFERENT}" = "$verdict" ] || failed=1
}

if [ ! -e "$folder/complete" ]; then
    get_emulator
    get_root
    get_wheels
    touch "$folder/complete"
fi
failed=0
emulated -c 'import platform, numba, numpy, torch
print(platform.machine(), *(f"{m.__name__} {m.__version__}" for m in (numba, numpy, torch)), sep=", ")'
if emulated -m pytest -q -o addopts= -p no:cacheprovider tests/test_golden.py tests/archive/test_golden_archive.py \
    -k "decodes_to_its_picture or every_image_is" >"$folder/golden.log"; then
    echo "golden files: $(tail -n 1 "$folder/golden.log")"
else
    echo "golden files: DIFFERENT, see $folder/golden.log"
    failed=1
fi
compare "context model" tests/exact_hashes.py '{}' tests/golden/v1/model.safetensors "$(embedded PHOTO)"
compare "Gaussian model" tests/gaussian_hashes.py 1 "$(embedded GAUSSIAN)"
exit "$failed"
