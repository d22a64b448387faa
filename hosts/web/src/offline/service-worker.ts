/**
 * Keeps the page on this machine, so that it opens without a network.
 *
 * The build writes `RELEASE` in front of this script: every file of the page and every model with its sha256. They are
 * fetched once from the page's own server, compared, and kept by their checksum, so that a new release fetches only what
 * changed. No other server is ever asked. Imports nothing: classic scripts work in every browser that has workers of this kind.
 */

interface Release {
  /** Path below the page -> sha256. */
  readonly files: Readonly<Record<string, string>>;
  /** The same of the bundle's models, which the page itself keeps (../worker/download.ts). */
  readonly models: Readonly<Record<string, string>>;
  /** Folder of the bundle below the page. */
  readonly bundle: string;
}

/** The parts of a service worker's scope that are used here; TypeScript's library for pages has none of it. */
interface LifeEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}

interface AskEvent extends Event {
  readonly request: Request;
  respondWith(answer: Promise<Response>): void;
}

interface Scope {
  readonly registration: { readonly scope: string };
  readonly clients: {
    claim(): Promise<void>;
    matchAll(which: object): Promise<readonly { postMessage(message: unknown): void }[]>;
  };
  skipWaiting(): Promise<void>;
  addEventListener(type: "install" | "activate", listener: (event: LifeEvent) => void): void;
  addEventListener(type: "fetch", listener: (event: AskEvent) => void): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

declare const RELEASE: Release;

const scope = self as unknown as Scope;
const base = scope.registration.scope;
const PAGE = "realm-page";
const MODELS = "realm-models";
const INDEX = "index.html";

// Two headers that let WebAssembly use threads, also where the server sends none.
const ISOLATION = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
};

function keyOf(path: string, sha256: string): string {
  return `${new URL(path, base).href}?sha256=${sha256}`;
}

async function digest(bytes: ArrayBuffer): Promise<string> {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Fetch a file into a cache unless it is there. Throws where the server gives another one. */
async function keep(cacheName: string, path: string, sha256: string): Promise<void> {
  const cache = await caches.open(cacheName);
  const key = keyOf(path, sha256);
  if ((await cache.match(key)) !== undefined) return;
  const response = await fetch(new URL(path, base), { cache: "no-cache" });
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  const bytes = await response.arrayBuffer();
  if ((await digest(bytes)) !== sha256) throw new Error(`${path}: wrong checksum`);
  const type = response.headers.get("Content-Type") ?? "application/octet-stream";
  await cache.put(key, new Response(bytes, { headers: { "Content-Type": type, ...ISOLATION } }));
}

async function keepAll(): Promise<void> {
  try {
    for (const [path, sha256] of Object.entries(RELEASE.files)) await keep(PAGE, path, sha256);
    for (const [path, sha256] of Object.entries(RELEASE.models)) await keep(MODELS, path, sha256);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    for (const client of await scope.clients.matchAll({ includeUncontrolled: true })) {
      client.postMessage({ type: "not-kept", reason });
    }
    throw error; // the release before this one goes on
  }
}

/** Forget what only older releases had. Models of bundles in other folders are the page's. */
async function prune(): Promise<void> {
  const wanted = new Set(
    Object.entries({ ...RELEASE.files, ...RELEASE.models }).map(([path, sha256]) => keyOf(path, sha256)),
  );
  for (const [name, folder] of [
    [PAGE, base],
    [MODELS, new URL(RELEASE.bundle, base).href],
  ] as const) {
    const cache = await caches.open(name);
    for (const { url } of await cache.keys()) {
      if (url.startsWith(folder) && !wanted.has(url)) await cache.delete(url);
    }
  }
}

async function answer(request: Request, key: string): Promise<Response> {
  const cache = await caches.open(PAGE);
  return (await cache.match(key)) ?? fetch(request); // the browser may have thrown it away
}

scope.addEventListener("install", (event) => event.waitUntil(keepAll()));
scope.addEventListener("activate", (event) => event.waitUntil(prune().then(() => scope.clients.claim())));
scope.addEventListener("message", ({ data }) => {
  if (data === "take-over") void scope.skipWaiting();
});
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const address = new URL(request.url);
  address.search = "";
  address.hash = "";
  if (request.method !== "GET" || !address.href.startsWith(base)) return;
  const path = decodeURIComponent(address.href.slice(base.length)) || INDEX;
  const sha256 = RELEASE.files[path];
  if (sha256 !== undefined) event.respondWith(answer(request, keyOf(path, sha256)));
});
