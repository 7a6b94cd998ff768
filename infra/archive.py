"""The function's archive: the handler's package and the pinned redis beside it, file by file.

Deployment needs no pip, and every checkout gives the same hash: the archive holds sources only, in sorted order, and
Pulumi hashes names and contents, not times or modes. redis is pure Python and needs no other package on Lambda's 3.13.
"""

from importlib import metadata
from pathlib import Path

import pulumi

ROOT = Path(__file__).resolve().parent.parent


def function_files(root: Path = ROOT) -> dict[str, Path]:
    """Name in the archive -> source file."""
    files = {f"function/{path.name}": path for path in (root / "function").glob("*.py")}
    redis = metadata.distribution("redis")
    for file in redis.files or []:
        packed = file.parts[0] == "redis" and file.suffix == ".py"
        # The licence must go with the code; redis reads its own version from METADATA.
        packed = packed or (file.parts[0].endswith(".dist-info") and file.name in ("LICENSE", "METADATA"))
        if packed:
            files[file.as_posix()] = Path(str(redis.locate_file(file)))
    return dict(sorted(files.items()))


def function_archive(root: Path = ROOT) -> pulumi.AssetArchive:
    """The archive as Pulumi uploads it."""
    return pulumi.AssetArchive({name: pulumi.FileAsset(str(path)) for name, path in function_files(root).items()})
