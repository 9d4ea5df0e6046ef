"""A drive whose power can be cut: a file system in a file, mounted through a loop device, that the kernel shuts down.

The shutdown (`XFS_IOC_GOINGDOWN`, which ext4 has too) drops at once what the file system had not brought to the disk:
dirty pages, names and lengths that are not in its journal, or, with the journal brought out first, the bytes behind
lengths that are. From then on every call fails with EIO. What it cannot show is a drive that loses writes of its own
cache that no flush covered; the simulated disk of the store's tests does.
"""

import fcntl
import os
import shutil
import struct
import subprocess
import time

import pytest

IMAGE_BYTES = 2 * 1024**3
# linux/xfs_fs.h and linux/fs.h: _IOR('X', 125, __u32), and what becomes of the journal.
GOINGDOWN = 0x8004587D
JOURNAL_FIRST, NOTHING_MORE = 1, 2
# How long the server may go on without its drive before it is gone too. Its answers of that time count for nothing: on
# ext4 an fdatasync under way at the shutdown may say that it succeeded although the journal was given up (seen on Linux
# 6.18 with four threads that do nothing else), which a machine without power cannot.
SECONDS_WITHOUT_DRIVE = 0.05
# How long a killed process's last reads may keep its drive busy, and what umount says of it (umount(8), "mount failure").
BUSY_SECONDS = 20
BUSY = 32


class Drive:
    """A mounted file system of `kind` (ext4 or xfs), at `path`."""

    def __init__(self, folder, kind):
        self.image, self.path, self.kind = folder / f"{kind}.img", folder / kind, kind

    def make(self):
        """Makes and mounts it; skips the test, with the reason, where that cannot be done."""
        if shutil.which(f"mkfs.{self.kind}") is None:
            pytest.skip(f"mkfs.{self.kind} is not installed")
        self.path.mkdir()
        with self.image.open("wb") as file:
            file.truncate(IMAGE_BYTES)
        quiet = ["-q", "-F", "-m", "0"] if self.kind == "ext4" else ["-q", "-f"]
        run(f"mkfs.{self.kind}", *quiet, self.image)
        mounted = subprocess.run(self.mount_command(), capture_output=True, text=True, check=False)
        if mounted.returncode != 0:
            pytest.skip(f"mounting {self.kind} is not allowed here: {mounted.stderr.strip()}")

    def mount_command(self):
        return ["mount", "-t", self.kind, "-o", "loop", self.image, self.path]

    def cut(self, server, chance):
        """Cuts the power: the drive goes, the server soon after; then both are to be had again, the server stopped."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(directory, GOINGDOWN, struct.pack("I", chance.choice([JOURNAL_FIRST, NOTHING_MORE])))
        finally:
            os.close(directory)
        # How long is part of the experiment.
        time.sleep(chance.uniform(0, SECONDS_WITHOUT_DRIVE))
        server.kill9()
        self.unmount()
        self.check()
        run(*self.mount_command())

    def unmount(self):
        """Unmounts it, as soon as the kernel is done with what the killed server had asked of it."""
        deadline = time.monotonic() + BUSY_SECONDS
        while run("umount", self.path, may_exit=(0, BUSY)) == BUSY:
            assert time.monotonic() < deadline, f"{self.path} stays busy"
            time.sleep(0.02)

    def check(self):
        """As at boot: the journal is replayed, then nothing may be wrong with the file system itself."""
        if self.kind == "ext4":
            # 1: errors were corrected, which a replay of the journal counts as.
            run("e2fsck", "-f", "-p", self.image, may_exit=(0, 1))
            return
        run(*self.mount_command())
        self.unmount()
        run("xfs_repair", "-n", self.image)

    def remove(self):
        """Unmounts it and gives its space back."""
        subprocess.run(["umount", self.path], check=False, capture_output=True)
        self.image.unlink(missing_ok=True)


def run(*command, may_exit=(0,)):
    """Runs a command that must succeed; gives its exit code."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in may_exit, f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done.returncode
