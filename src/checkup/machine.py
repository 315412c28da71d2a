"""Python, the packages, Torch and its GPU, StarCraft II: what every suite, or some, stand on."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from checkup.children import Child, Ended
from checkup.finding import FAILS, NOTE, WORKS, Finding
from checkup.packages import packages_of
from utils.naming import to_install
from utils.pythons import VENV, python_of

LEAST_PYTHON = (3, 11)
INSTALL_SC2 = "./install_sc2.sh"
TRY_TORCH = """
import torch
print(torch.__version__, torch.version.cuda or "none", torch.cuda.is_available())
if torch.cuda.is_available():
    print(torch.cuda.get_device_name(), float(torch.ones(2, 2, device="cuda").matmul(torch.ones(2, 2).cuda()).sum()))
"""


def python(found: Sequence[int] = sys.version_info[:3]) -> Finding:
    """Say whether this Python is recent enough."""
    said = ".".join(map(str, found[:3]))
    if tuple(found[:2]) < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return Finding(FAILS, "Python", f"{said}; {least} or later is needed", f"python{least} -m venv .venv")
    return Finding(WORKS, "Python", f"{said}, {sys.executable}")


def packages(root: Path, words: str, needed: bool) -> Finding:
    """Say whether the packages of a requirements file are installed; a suite's own may be `needed` by nobody here.

    `words` is what `pip install -r` is given in the folder `root`: the file's name, and options behind it.
    """
    file = root / words.split()[0]
    named = packages_of(file)
    missing = [package.name for package in named if package.installed is None]
    other = [f"{package.name} {package.installed} where it asks for {package.line}" for package in named
             if package.differs()]  # fmt: skip
    if not missing and not other:
        return Finding(WORKS, file.name, "installed")
    said = [f"not installed: {', '.join(missing)}"] if missing else []
    if "torch" in missing and (has := python_of(VENV)) is not None:
        said.append(f"{has} has them")
    return Finding(FAILS if missing and needed else NOTE, file.name, "; ".join(said + other), to_install(words))


def start_torch(folder: Path) -> Child:
    """Begin to try Torch, and a product on its GPU, in a process of its own."""
    return Child([sys.executable, "-c", TRY_TORCH], folder)


def torch(ended: Ended, file: Path) -> list[Finding]:
    """Say what Torch is, and whether it computes on a GPU."""
    lines = ended.out.splitlines()
    if not lines:
        mend = to_install(file.name) if "No module named 'torch'" in ended.why else ""
        return [Finding(FAILS, "torch", ended.why, mend)]
    version, cuda, available = lines[0].split()
    found = Finding(WORKS, "torch", version)
    if len(lines) > 1:
        name, _, product = lines[1].rpartition(" ")
        assert product == "8.0", product
        return [found, Finding(WORKS, "CUDA", f"{cuda}, {name}")]
    if available == "True":
        return [found, Finding(FAILS, "CUDA", f"{cuda}, which does not compute: {ended.why}; device=cpu does without")]
    if not Path("/proc/driver/nvidia/version").exists() and shutil.which("nvidia-smi") is None:
        return [found, Finding(NOTE, "CUDA", "no NVIDIA driver here; networks train on the CPU")]
    if cuda != "none":
        return [found, Finding(NOTE, "CUDA", f"{cuda} sees no GPU; does nvidia-smi show one, with a recent driver?")]
    index = "<what https://pytorch.org/get-started/locally names for this driver>"
    wanted = next(package.line for package in packages_of(file) if package.name == "torch")
    said = "there is an NVIDIA driver, and this torch is built without CUDA"
    return [found, Finding(NOTE, "CUDA", said, f"pip install --force-reinstall {wanted} --index-url {index}")]


def starcraft(environ: Mapping[str, str] = os.environ) -> Finding:
    """Say which StarCraft II lies under SC2PATH, and with how many of SMAC's maps."""
    if not environ.get("SC2PATH"):
        return Finding(NOTE, "SC2PATH", "not set; sc2 and sc2v2 look for the game there", INSTALL_SC2)
    place = Path(environ["SC2PATH"])
    builds = sorted(path.name for path in place.glob("Versions/Base*"))
    if not builds:
        return Finding(FAILS, "SC2PATH", f"{place} holds no StarCraft II (no Versions/Base*)", INSTALL_SC2)
    maps = {path.name for path in place.glob("Maps/**/*.SC2Map")}
    said = f"{place}: {', '.join(builds)}; {len(maps)} maps"
    lacking = [name for name in ("3s5z.SC2Map", "32x32_flat.SC2Map") if name not in maps]
    if lacking:
        return Finding(FAILS, "SC2PATH", f"{said}, and not {' nor '.join(lacking)}", INSTALL_SC2)
    return Finding(WORKS, "SC2PATH", said)
