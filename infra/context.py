"""The load image's build context: a copy below build/ with fixed modes.

The Docker provider rebuilds when names, modes or contents change, so a checkout under another umask would build and
push in the middle of an experiment. The copy has the same relative path and the same modes in every checkout. It
includes locust/Dockerfile.dockerignore, which still decides what the build sees.
"""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTEXT = Path("build") / "load-image"
FOLDERS = ("locust", "contract", "recorder")
_LEFT_OUT = (".pyc", ".pyo")


def context_files(root: Path = ROOT) -> dict[str, Path]:
    """Name in the context -> source file."""
    files = {
        path.relative_to(root).as_posix(): path
        for folder in FOLDERS
        for path in (root / folder).rglob("*")
        if path.is_file() and path.suffix not in _LEFT_OUT and "__pycache__" not in path.parts
    }
    return dict(sorted(files.items()))


def stage(root: Path = ROOT) -> Path:
    """Makes CONTEXT below `root` hold exactly context_files(); returns it relative to `root`.

    Leaves correct files alone and replaces each other file in one step, so two stacks deployed from one checkout at
    the same time do not disturb each other.
    """
    target = root / CONTEXT
    files = context_files(root)
    for name, source in files.items():
        _place(target / name, source.read_bytes())
    if target.is_dir():
        for path in sorted(target.rglob("*"), reverse=True):
            if path.is_dir():
                if not any(path.iterdir()):
                    path.rmdir()
                else:
                    path.chmod(0o755)
            elif path.relative_to(target).as_posix() not in files and path.suffix != ".part":
                path.unlink()
    return CONTEXT


def _place(path: Path, content: bytes) -> None:
    if path.is_file() and path.stat().st_mode & 0o7777 == 0o644 and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.chmod(0o644)
    part.replace(path)
