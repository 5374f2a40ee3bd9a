// Receive a brand's webhooks, signed (RFC 9421, Ed25519). The same check holds for an agency's pushes.
//
// SOS_URL=https://sos.example.com MY_URL=https://cloud.example.com/status PORT=8000 node receive.mjs
//
// Node 18 or newer, no package.  MY_URL is the address that the service was given: it is signed, so a message that was
// meant for another address is refused.
import { createHash, createPublicKey, verify } from "node:crypto";
import { createServer } from "node:http";

const { SOS_URL, MY_URL, PORT } = process.env;
const COVERED = ["@method", "@target-uri", "content-digest", "content-type", "idempotency-key"];
const SKEW_S = 300;
const INPUT = /^sos=(\(([^)]*)\);created=(\d+);keyid="([^"]+)";alg="ed25519")$/;

// From the service's directory: keep it for some minutes in earnest, and ask again when a signature fails.
async function keyOf(keyid) {
  const answer = await fetch(`${SOS_URL}/.well-known/http-message-signatures-directory`, { signal: AbortSignal.timeout(5000) });
  const jwk = (await answer.json()).keys.find((each) => each.kid === keyid);
  return createPublicKey({ key: jwk, format: "jwk" });
}

async function isGenuine(method, headers, body) {
  const stated = INPUT.exec(headers["signature-input"] ?? "");
  if (!stated || stated[2] !== COVERED.map((name) => `"${name}"`).join(" ")) return false;
  const digest = `sha-256=:${createHash("sha256").update(body).digest("base64")}:`;
  if (headers["content-digest"] !== digest || Math.abs(Date.now() / 1000 - Number(stated[3])) > SKEW_S) return false;
  const values = { "@method": method, "@target-uri": MY_URL };
  const lines = COVERED.map((name) => `"${name}": ${values[name] ?? (headers[name] ?? "").trim()}`);
  const base = [...lines, `"@signature-params": ${stated[1]}`].join("\n");
  const signature = /^sos=:([A-Za-z0-9+/=]+):$/.exec(headers.signature ?? "")?.[1] ?? "";
  return verify(null, Buffer.from(base), await keyOf(stated[4]), Buffer.from(signature, "base64"));
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const genuine = await isGenuine(request.method, request.headers, body).catch(() => false);
  if (genuine) {
    const told = JSON.parse(body);
    console.log(told.id, told.data.status); // keep it by its id: it may come again
  }
  response.writeHead(genuine ? 204 : 401).end();
}).listen(Number(PORT), "127.0.0.1");
