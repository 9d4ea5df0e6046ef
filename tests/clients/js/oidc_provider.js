// An OpenID Connect provider for test_oidc.py: oidc-provider, a certified implementation, on loopback. Whoever logs in
// is who the login says it is, and consents.
//
//   node oidc_provider.js PORT [CERTIFICATE KEY]     serves until it is killed; prints the issuer when it is ready
//
//   POST /test/rotate    signs with a new key from now on; ?keep=true still publishes the old one
//   POST /test/mint      signs the claims and header in the body with the current key, whatever they say

import { readFileSync } from "node:fs";
import http from "node:http";
import https from "node:https";

import { exportJWK, generateKeyPair, importJWK, SignJWT } from "jose";
import Provider from "oidc-provider";

const [port, certificate, privateKey] = process.argv.slice(2);
const issuer = `${certificate ? "https" : "http"}://127.0.0.1:${port}`;
const CLIENTS = ["cairn-tests", "another-application"];
let keys = [];
let provider;

async function newKey(alg) {
  const { privateKey } = await generateKeyPair(alg, { extractable: true });
  const kid = `key-${Date.now()}-${Math.random().toString(36).slice(2, 8)}`;
  return { ...(await exportJWK(privateKey)), alg, use: "sig", kid };
}

function makeProvider() {
  const made = new Provider(issuer, {
    jwks: { keys },
    clients: CLIENTS.map((client_id) => ({
      client_id,
      client_secret: `secret-of-${client_id}`,
      redirect_uris: ["https://127.0.0.1/signed-in"],
      id_token_signed_response_alg: keys[0].alg,
    })),
    claims: { openid: ["sub", "department", "groups", "https://aws.amazon.com/tags"] },
    conformIdTokenClaims: false,
    cookies: { keys: ["tests-need-no-secret-here"] },
    features: { devInteractions: { enabled: false } },
    findAccount: (_ctx, sub) => ({
      accountId: sub,
      claims: () => ({
        sub,
        department: "storage",
        groups: ["readers", "writers"],
        "https://aws.amazon.com/tags": sub.endsWith("-with-tags")
          ? { principal_tags: { Team: ["archive"] }, transitive_tag_keys: ["Team"] }
          : undefined,
      }),
    }),
    interactions: { url: (_ctx, interaction) => `/test/login/${interaction.uid}` },
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope("openid");
      await grant.save();
      return grant;
    },
    pkce: { required: () => false },
    ttl: { IdToken: 600 },
  });
  made.on("server_error", (_ctx, error) => console.error(error));
  return made;
}

async function body(request) {
  const parts = [];
  for await (const part of request) parts.push(part);
  return JSON.parse(Buffer.concat(parts).toString() || "{}");
}

async function answer(request, response) {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith("/test/login/")) {
    // The provider's page for logging in would be here.
    const { params } = await provider.interactionDetails(request, response);
    return provider.interactionFinished(request, response, { login: { accountId: params.login_hint } });
  }
  if (url.pathname === "/test/rotate") {
    const key = await newKey(url.searchParams.get("alg") ?? "RS256");
    keys = url.searchParams.get("keep") ? [key, ...keys] : [key];
    provider = makeProvider();
    return response.end(key.kid);
  }
  if (url.pathname === "/test/mint") {
    const { claims, header } = await body(request);
    const key = await importJWK(keys[0], keys[0].alg);
    const protectedHeader = { alg: keys[0].alg, kid: keys[0].kid, ...header };
    return response.end(await new SignJWT(claims).setProtectedHeader(protectedHeader).sign(key));
  }
  return provider.callback()(request, response);
}

keys = [await newKey("RS256")];
provider = makeProvider();
const handler = (request, response) =>
  answer(request, response).catch((error) => {
    console.error(error);
    response.statusCode = 500;
    response.end(String(error));
  });
const server = certificate
  ? https.createServer({ cert: readFileSync(certificate), key: readFileSync(privateKey) }, handler)
  : http.createServer(handler);
server.listen(Number(port), "127.0.0.1", () => console.log(issuer));
