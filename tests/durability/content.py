"""Bodies that are made from their name, so that nobody needs to store them: every 4 KiB block names its content and place."""

import functools
import hashlib

BLOCK = 4096
MAX_BYTES = 8 * 1024 * 1024


@functools.lru_cache(maxsize=1)
def _noise() -> bytes:
    return hashlib.shake_128(b"cairn durability").digest(MAX_BYTES + 65536)


def content(name: str, size: int) -> bytes:
    """`size` bytes that no other name or size has, in any of their blocks."""
    assert size <= MAX_BYTES
    stamp = hashlib.blake2b(f"{name}:{size}".encode(), digest_size=16).digest()
    start = int.from_bytes(stamp[:2], "big")
    body = bytearray(_noise()[start : start + size])
    for number, offset in enumerate(range(0, size, BLOCK)):
        mark = stamp + number.to_bytes(4, "big")
        body[offset : offset + len(mark)] = mark[: size - offset]
    return bytes(body)


def etag(body: bytes) -> str:
    """The ETag of an object that was put in one piece, with quotes."""
    return f'"{hashlib.md5(body).hexdigest()}"'


def multipart_etag(parts) -> str:
    """The ETag of an object that was completed from `parts`, with quotes."""
    digests = b"".join(hashlib.md5(part).digest() for part in parts)
    return f'"{hashlib.md5(digests).hexdigest()}-{len(parts)}"'


def explain(body: bytes, known) -> str:
    """What a body that is not the expected one consists of; `known` are (name, size) pairs that were ever sent."""
    stamps = {hashlib.blake2b(f"{n}:{s}".encode(), digest_size=16).digest(): (n, s) for n, s in known}
    runs = []
    for offset in range(0, len(body), BLOCK):
        block = body[offset : offset + BLOCK]
        name, size = stamps.get(bytes(block[:16]), ("unknown", 0))
        number = int.from_bytes(block[16:20], "big")
        if name == "unknown" and not any(block):
            name = "zeros"
        label = f"{name}:{size}" if name not in ("unknown", "zeros") else name
        shift = number - offset // BLOCK if label == f"{name}:{size}" else 0
        if runs and runs[-1][0] == (label, shift):
            runs[-1][1] += 1
        else:
            runs.append([(label, shift), 1])
    parts = [
        f"{count} blocks of {label}" + (f" moved by {shift}" if shift else "") for (label, shift), count in runs[:8]
    ]
    return f"{len(body)} bytes: {', '.join(parts) or 'nothing'}{' …' if len(runs) > 8 else ''}"
