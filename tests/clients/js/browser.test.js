// A headless Chromium visits websites and uses buckets from pages, as test_browser.py has prepared them.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";

const { executable, port, site, other, api, presigned, form, folder } = JSON.parse(process.env.CAIRN_BROWSER);
let browser;
let page;

before(async () => {
  browser = await chromium.launch({
    executablePath: executable,
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      // Every *.test is the server under test, and no proxy comes between.
      `--host-resolver-rules=MAP *.test 127.0.0.1:${port}`,
      "--no-proxy-server",
    ],
  });
  const context = await browser.newContext();
  page = await context.newPage();
  page.setDefaultTimeout(20_000);
});

after(async () => browser?.close());

const heading = () => page.textContent("h1");

test("pages, folders and links", async () => {
  const answer = await page.goto(`${site}/`);
  assert.equal(answer.status(), 200);
  assert.equal(await heading(), "home");
  assert.equal(await page.textContent("#script"), "scripts run");
  await page.click("#photos");
  await page.waitForURL(`${site}/photos/`);
  assert.equal(await heading(), "photos");
});

test("routing rules and objects redirect", async () => {
  await page.goto(`${site}/docs/a?b=c`);
  assert.equal(page.url(), `${site}/documents/a?b=c`);
  assert.equal(await heading(), "document");
  await page.goto(`${site}/moved.html`);
  assert.equal(page.url(), `${site}/documents/a`);
  await page.goto(`${site}/elsewhere/x`);
  assert.equal(page.url(), `${other}/elsewhere/x`);
  assert.equal(await heading(), "elsewhere");
  await page.goto(`${site}/app/view/1`);
  assert.equal(page.url(), `${site}/#!/view/1`);
  assert.equal(await heading(), "home");
});

test("errors have their pages", async () => {
  const own = await page.goto(`${site}/missing`);
  assert.equal(own.status(), 404);
  assert.equal(await heading(), "own error");
  const plain = await page.goto(`${other}/missing`);
  assert.equal(plain.status(), 404);
  assert.equal(await heading(), "404 Not Found");
  const hostile = await page.goto(`${other}/<img src=x onerror="document.title='hacked'">`);
  assert.equal(hostile.status(), 404);
  assert.notEqual(await page.title(), "hacked");
});

test("no path leads to another host", async () => {
  await page.goto(`${site}//${new URL(other).host}`);
  assert.equal(new URL(page.url()).host, new URL(site).host);
  assert.equal(await heading(), "a folder called as a host");
});

// What a page's fetch ends with: status, text and headers, or the error that the browser makes of a refusal.
const fetched = (url, options = {}) =>
  page.evaluate(
    async ([url, options]) => {
      try {
        const answer = await fetch(url, options);
        const headers = Object.fromEntries(answer.headers);
        return { status: answer.status, text: await answer.text(), headers };
      } catch (error) {
        return { error: error.name };
      }
    },
    [url, options],
  );

test("an allowed origin reads, writes and sees what is exposed", async () => {
  await page.goto(`${site}/`);
  const read = await fetched(`${api}/object`);
  assert.deepEqual([read.status, read.text], [200, "shared"]);
  assert.ok(read.headers.etag, "ETag is exposed");
  assert.equal(read.headers["x-amz-request-id"], undefined, "no other header is");
  const missing = await fetched(`${api}/missing`);
  assert.equal(missing.status, 404, "errors can be read, too");
  const headers = { "content-type": "text/plain", "x-amz-meta-from": "page" };
  const written = await fetched(presigned, { method: "PUT", headers, body: "from a page" });
  assert.deepEqual([written.status, written.error], [200, undefined]);
  assert.equal((await fetched(`${api}/written`)).text, "from a page");
});

test("what the rules do not name is kept from the page", async () => {
  await page.goto(`${site}/`);
  assert.deepEqual(await fetched(`${api}/object`, { method: "DELETE" }), { error: "TypeError" });
  assert.deepEqual(await fetched(`${api}/object`, { headers: { "x-other": "1" } }), { error: "TypeError" });
  await page.goto(`${other}/elsewhere/x`);
  assert.deepEqual(await fetched(`${api}/object`), { error: "TypeError" });
  const put = { method: "PUT", headers: { "content-type": "text/plain", "x-amz-meta-from": "page" }, body: "refused" };
  assert.deepEqual(await fetched(presigned, put), { error: "TypeError" });
  await page.goto(`${site}/`);
  assert.equal((await fetched(`${api}/written`)).text, "from a page", "the refused origin wrote nothing");
});

test("a form uploads and the browser goes where it says", async () => {
  await page.goto(`${site}/form.html`);
  await page.evaluate(({ url, fields }) => {
    const form = document.querySelector("form");
    form.action = url;
    for (const [name, value] of Object.entries(fields)) {
      const input = Object.assign(document.createElement("input"), { type: "hidden", name, value });
      form.prepend(input);
    }
  }, form);
  await page.setInputFiles("input[type=file]", `${folder}/photo of a cat.txt`);
  await page.click("button");
  await page.waitForURL(`${site}/thanks.html?**`);
  assert.equal(await heading(), "thanks");
  const said = new URL(page.url()).searchParams;
  assert.equal(said.get("key"), "uploads/photo of a cat.txt");
  assert.match(said.get("etag"), /^"[0-9a-f]{32}"$/);
});
