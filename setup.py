"""Compiles the native kernels of csrc/, one library for each instruction set, when the package is built or installed.

All else about the package stands in pyproject.toml. Where there is no C++ compiler, or it fails, one line says so and
the package is built without: then everything runs on torch and NumPy. CXX names another compiler than c++.
"""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

SOURCES = Path("csrc")
# Products and sums may fuse, which standard C++ forbids; NaN and infinity keep their meaning.
FLAGS = "-std=c++17 -O3 -fPIC -ffp-contract=fast -fno-math-errno -fno-trapping-math -fno-exceptions -fno-rtti"
AVX512 = "-mavx512f -mavx512dq -mavx512bw -mavx512vl -mfma"
X86 = {
    "avx2": "-mavx2 -mfma",
    "avx512": AVX512,
    "avx512vnni": f"{AVX512} -mavx512vnni",
}
VARIANTS = {"baseline": ""} | (X86 if platform.machine().lower() in ("x86_64", "amd64") else {})


def compile_variant(name: str, compiler: list[str], folder: Path, more_flags: str = "") -> None:
    """Write folder/NAME.so. cpu.cpp asks whether the rest can run, so it is compiled for any CPU.

    more_flags: for compiling and linking, behind FLAGS, as scripts/sanitize has them. Raises OSError or
    CalledProcessError where that fails.
    """
    with tempfile.TemporaryDirectory() as scratch:
        parts = {"kernels": VARIANTS[name], "step": VARIANTS[name], "cpu": f"-DUNROLLED_{name.upper()}"}
        for part, more in parts.items():
            made = ["-c", str(SOURCES / f"{part}.cpp"), "-o", f"{scratch}/{part}.o"]
            flags = f"{FLAGS} {more} {more_flags}".split()
            subprocess.run([*compiler, *flags, *made], check=True)
        # Linked beside and renamed, as a process may have the old one mapped.
        linked = folder / f"{name}.so.new"
        objects = [f"{scratch}/{part}.o" for part in parts]
        subprocess.run([*compiler, *more_flags.split(), "-shared", *objects, "-o", str(linked)], check=True)
        linked.replace(folder / f"{name}.so")


def up_to_date(made: Path) -> bool:
    """Whether nothing has changed since: another install of the same checkout need not compile again."""
    sources = [*SOURCES.iterdir(), Path(__file__)]
    return made.is_file() and made.stat().st_mtime > max(path.stat().st_mtime for path in sources)


class build_native(Command):
    """The step of `build` that compiles; setuptools asks it for what it wrote."""

    editable_mode = False
    build_lib: str | None = None

    def initialize_options(self) -> None:
        """Nothing to be given."""

    def finalize_options(self) -> None:
        """Learn from `build` where the package is put together."""
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        """Compile every variant; one that fails is left out."""
        within = "src" if self.editable_mode else str(self.build_lib)
        folder = Path(within) / "unrolled" / "models" / "native"
        folder.mkdir(parents=True, exist_ok=True)
        for name in VARIANTS:
            if up_to_date(folder / f"{name}.so"):
                continue
            try:
                compile_variant(name, shlex.split(os.environ.get("CXX") or "c++"), folder)
            except (OSError, subprocess.CalledProcessError) as error:
                print(f"warning: no native kernels for {name}: {error}", file=sys.stderr)

    def get_source_files(self) -> list[str]:
        """For a source distribution."""
        return [str(path) for path in sorted(SOURCES.iterdir()) if path.is_file()]

    def get_outputs(self) -> list[str]:
        """What stands in the built package."""
        folder = Path(str(self.build_lib)) / "unrolled" / "models" / "native"
        return [str(folder / f"{name}.so") for name in VARIANTS]

    def get_output_mapping(self) -> dict[str, str]:
        """Nothing is copied: an editable install has the libraries in the checkout itself."""
        return {}


class Build(build):
    """`build` with the step above."""

    sub_commands = [*build.sub_commands, ("build_native", None)]  # noqa: RUF012 (so setuptools declares it)


class Wheel(bdist_wheel):
    """A wheel for this platform and any Python 3: the libraries know nothing of Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Python, ABI, platform."""
        return "py3", "none", super().get_tag()[2]


class Native(Distribution):
    """A package that is not the same on every platform."""

    def has_ext_modules(self) -> bool:
        """So the wheel is one for a platform."""
        return True


if __name__ == "__main__":  # scripts/sanitize imports what compiles
    setup(distclass=Native, cmdclass={"build": Build, "build_native": build_native, "bdist_wheel": Wheel})
