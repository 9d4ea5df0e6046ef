// The AWS SDK for JavaScript v3 with its defaults, against the server at CAIRN_ENDPOINT and the empty bucket CAIRN_BUCKET.
// Run by ../test_javascript.py; the SDK finds its credentials and region in the environment.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { test } from "node:test";

import {
  CopyObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  PutObjectCommand,
  S3Client,
  paginateListObjectsV2,
} from "@aws-sdk/client-s3";
import { Upload } from "@aws-sdk/lib-storage";
import { getSignedUrl } from "@aws-sdk/s3-request-presigner";

const MIB = 1024 * 1024;
const Bucket = process.env.CAIRN_BUCKET;
const client = new S3Client({ endpoint: process.env.CAIRN_ENDPOINT, forcePathStyle: true, maxAttempts: 1 });

const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const read = async (Key, options = {}) => {
  const answer = await client.send(new GetObjectCommand({ Bucket, Key, ...options }));
  return Buffer.from(await answer.Body.transformToByteArray());
};
const listed = async (options) => {
  const keys = [];
  for await (const page of paginateListObjectsV2({ client, pageSize: 2 }, { Bucket, ...options })) {
    keys.push(...(page.Contents ?? []).map((entry) => entry.Key));
  }
  return keys;
};

test("put, head, get", async () => {
  const put = await client.send(
    new PutObjectCommand({
      Bucket,
      Key: "a b+c/ü",
      Body: "hello",
      ContentType: "text/plain",
      Metadata: { colour: "red" },
      Tagging: "team=storage",
    }),
  );
  assert.equal(put.ETag, `"${createHash("md5").update("hello").digest("hex")}"`);
  assert.ok(put.ChecksumCRC32);
  const head = await client.send(new HeadObjectCommand({ Bucket, Key: "a b+c/ü", ChecksumMode: "ENABLED" }));
  assert.deepEqual([head.ContentType, head.Metadata, head.ContentLength], ["text/plain", { colour: "red" }, 5]);
  assert.equal(head.ChecksumCRC32, put.ChecksumCRC32);
  assert.equal((await read("a b+c/ü")).toString(), "hello");
  assert.equal((await read("a b+c/ü", { Range: "bytes=1-3" })).toString(), "ell");
  const tags = await client.send(new GetObjectTaggingCommand({ Bucket, Key: "a b+c/ü" }));
  assert.deepEqual(tags.TagSet, [{ Key: "team", Value: "storage" }]);
});

for (const algorithm of ["CRC32", "CRC32C", "SHA1", "SHA256"]) {
  test(`checksum ${algorithm}, of bytes and of a stream with its checksum in the trailer`, async () => {
    const Body = randomBytes(200_000);
    const Key = `checksum-${algorithm}`;
    const put = await client.send(new PutObjectCommand({ Bucket, Key, Body, ChecksumAlgorithm: algorithm }));
    const streamed = await client.send(
      new PutObjectCommand({
        Bucket,
        Key: `${Key}-stream`,
        Body: Readable.from(Body, { highWaterMark: 65_536 }),
        ContentLength: Body.length,
        ChecksumAlgorithm: algorithm,
      }),
    );
    assert.ok(put[`Checksum${algorithm}`]);
    assert.equal(streamed[`Checksum${algorithm}`], put[`Checksum${algorithm}`]);
    assert.deepEqual(await read(`${Key}-stream`, { ChecksumMode: "ENABLED" }), Body);
  });
}

test("a stream of unknown length goes up in parts", async () => {
  const bytes = randomBytes(17 * MIB + 3);
  const pieces = [];
  for (let start = 0; start < bytes.length; start += 100_000) pieces.push(bytes.subarray(start, start + 100_000));
  const upload = new Upload({ client, params: { Bucket, Key: "parts", Body: Readable.from(pieces) }, partSize: 5 * MIB });
  const done = await upload.done();
  assert.match(done.ETag, /-4"$/);
  assert.equal(sha256(await read("parts")), sha256(bytes));
});

test("errors have names", async () => {
  await assert.rejects(read("absent"), { name: "NoSuchKey" });
  await assert.rejects(client.send(new HeadObjectCommand({ Bucket, Key: "absent" })), { name: "NotFound" });
  const once = { Bucket, Key: "once", Body: "x", IfNoneMatch: "*" };
  await client.send(new PutObjectCommand(once));
  await assert.rejects(client.send(new PutObjectCommand(once)), { name: "PreconditionFailed" });
});

test("signed URLs", async () => {
  const put = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: "signed" }), { expiresIn: 60 });
  assert.equal((await fetch(put, { method: "PUT", body: "by URL" })).status, 200);
  const get = await getSignedUrl(client, new GetObjectCommand({ Bucket, Key: "signed" }), { expiresIn: 60 });
  assert.equal(await (await fetch(get)).text(), "by URL");
  assert.equal((await fetch(get.replace("signed", "other"))).status, 403);
});

test("list, copy, delete", async () => {
  const keys = ["list/1", "list/2", "list/3", "list/4", "list/ü"];
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  assert.deepEqual(await listed({ Prefix: "list/" }), keys);
  const source = encodeURIComponent(`${Bucket}/list/ü`);
  await client.send(new CopyObjectCommand({ Bucket, Key: "list/copy", CopySource: source }));
  assert.equal((await read("list/copy")).toString(), "list/ü");
  const Objects = (await listed({})).map((Key) => ({ Key }));
  const deleted = await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
  assert.equal(deleted.Deleted.length, Objects.length);
  assert.deepEqual(await listed({}), []);
});
