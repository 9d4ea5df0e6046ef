"""The checksums of S3, computed by another implementation than the server's, in the base64 of S3's headers."""

import base64
import hashlib

import awscrt.checksums

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256", "SHA512", "XXHASH64", "XXHASH3", "XXHASH128"]


def raw(algorithm: str, data: bytes) -> bytes:
    """The checksum's bytes: CRCs in big endian."""
    match algorithm:
        case "CRC32":
            return awscrt.checksums.crc32(data).to_bytes(4, "big")
        case "CRC32C":
            return awscrt.checksums.crc32c(data).to_bytes(4, "big")
        case "CRC64NVME":
            return awscrt.checksums.crc64nvme(data).to_bytes(8, "big")
        case "XXHASH64":
            return awscrt.checksums.XXHash.compute_xxhash64(data)
        case "XXHASH3":
            return awscrt.checksums.XXHash.compute_xxhash3_64(data)
        case "XXHASH128":
            return awscrt.checksums.XXHash.compute_xxhash3_128(data)
        case _:
            return hashlib.new(algorithm.lower(), data).digest()


def of(algorithm: str, data: bytes) -> str:
    """The checksum of a whole object."""
    return base64.b64encode(raw(algorithm, data)).decode()


def composite(algorithm: str, parts: list[bytes]) -> str:
    """The checksum of the parts' checksums, and how many there are."""
    joined = b"".join(raw(algorithm, part) for part in parts)
    return f"{of(algorithm, joined)}-{len(parts)}"


def member(algorithm: str) -> str:
    """The field that carries it in requests and answers."""
    return f"Checksum{algorithm}"
