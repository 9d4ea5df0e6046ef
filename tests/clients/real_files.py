"""Files for clients to move: trees that this machine really has, and random files of any size."""

import hashlib
import itertools
import os
import pathlib
import random
import shutil
import subprocess

MIB = 1024 * 1024


def random_bytes(seed: int, size: int) -> bytes:
    """`size` bytes that neither compress nor repeat."""
    return random.Random(seed).randbytes(size)


def write_random_file(path: pathlib.Path, seed: int, size: int) -> str:
    """Writes `size` bytes that neither compress nor repeat; returns their SHA-256 in hex."""
    source, digest = random.Random(seed), hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for start in range(0, size, MIB):
            block = source.randbytes(min(MIB, size - start))
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


def sha256_of(path: pathlib.Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(MIB):
            digest.update(block)
    return digest.hexdigest()


def copy_real_tree(destination: pathlib.Path, files: int, largest: int = 128 * 1024) -> int:
    """Copies `files` regular files of this machine with their folders, from several places in equal parts.

    None is larger than `largest` bytes. Object stores know neither links nor empty folders, so there are none.
    Returns the sum of the sizes in bytes.
    """
    places = [place for place in _places_with_many_files() if place.is_dir()]
    copied = total = 0
    for number, place in enumerate(places):
        wanted = (files - copied) // (len(places) - number)
        for source in itertools.islice(_regular_files(place, largest), wanted):
            target = destination / place.name / source.relative_to(place)
            target.parent.mkdir(parents=True, exist_ok=True)
            # With its time: a file that is younger than the second of its upload is uploaded again by `sync`.
            shutil.copyfile(source, target)
            shutil.copystat(source, target)
            copied += 1
            total += target.stat().st_size
    assert copied == files, f"only {copied} of {files} files found in {[str(place) for place in places]}"
    return total


def _places_with_many_files() -> list[pathlib.Path]:
    """Trees of a machine that can build this project. The last is large wherever it was built."""
    places = [pathlib.Path("/usr/share")]
    if rustc := shutil.which("rustc"):
        sysroot = subprocess.run([rustc, "--print", "sysroot"], capture_output=True, text=True, check=True).stdout
        places.append(pathlib.Path(sysroot.strip()) / "share/doc")
    cargo_home = pathlib.Path(os.environ.get("CARGO_HOME") or pathlib.Path.home() / ".cargo")
    return [*places, cargo_home / "registry/src"]


def _regular_files(place: pathlib.Path, largest: int):
    for folder, folders, names in os.walk(place):
        folders.sort()
        for name in sorted(names):
            path = pathlib.Path(folder, name)
            try:
                str(path).encode()  # a name that is no UTF-8 cannot be a key
                plain = path.is_file() and not path.is_symlink() and os.access(path, os.R_OK)
                if plain and path.stat().st_size <= largest:
                    yield path
            except (OSError, UnicodeEncodeError):
                continue


def assert_same_tree(left: pathlib.Path, right: pathlib.Path) -> None:
    """`diff -r` finds nothing."""
    found = subprocess.run(["diff", "-r", "-q", left, right], capture_output=True, text=True, errors="replace")
    assert found.returncode == 0, (found.stdout + found.stderr)[:4000]
