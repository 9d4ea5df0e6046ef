"""The signer itself, against the worked example of the Amazon S3 API reference ("Signature calculations for the
authorization header: transferring payload in multiple chunks")."""

from wire.signer import STREAMING, ChunkSigner, Credentials, sign

EXAMPLE = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
DATE = "20130524T000000Z"


def test_the_example_of_the_api_reference():
    headers = [
        ("Host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("Content-Encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("Content-Length", "66824"),
    ]
    _, seed = sign(EXAMPLE, "PUT", "/examplebucket/chunkObject.txt", [], headers, STREAMING, date=DATE)
    assert seed == "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    chunks = ChunkSigner(EXAMPLE, DATE, seed)
    signatures = [
        "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648",
        "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497",
        "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9",
    ]
    for data, signature in zip((b"a" * 65536, b"a" * 1024, b""), signatures, strict=True):
        assert signature.encode() in chunks.chunk(data)
