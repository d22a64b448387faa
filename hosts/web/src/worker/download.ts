/** The files of a bundle over HTTP, kept in the browser's Cache Storage by their sha256. */

import { type BundleSource, MANIFEST } from "../engine/bundle";
import { messageOf, RealmError } from "../engine/errors";
import type { FileEntry, Manifest } from "../engine/manifest";

const CACHE = "realm-models";

export type DownloadProgress = (file: string, done: number, total: number) => void;

/** The address of a bundle's folder, ending with "/". Throws RealmError "bundle" for another server's. */
export function bundleAddress(given: string, page: string): string {
  let url: URL;
  try {
    url = new URL(given.endsWith("/") ? given : `${given}/`, page);
  } catch {
    throw new RealmError("bundle", `${given}: not an address; give a folder of this server`);
  }
  if (url.origin !== new URL(page).origin) {
    throw new RealmError(
      "bundle",
      `${given}: another server; this page talks to its own only, so put the bundle beside the page`,
    );
  }
  url.search = "";
  url.hash = "";
  return url.href;
}

export class HttpSource implements BundleSource {
  readonly where: string;
  /** Bytes that came from the cache. */
  cachedBytes = 0;

  /** `base`: the folder's address, ending with "/"; `name`: what errors call it. */
  constructor(
    private readonly base: string,
    name: string,
    private readonly progress: DownloadProgress,
  ) {
    this.where = name;
  }

  async readManifest(most: number): Promise<Uint8Array> {
    const response = await this.fetch(MANIFEST, "no-cache");
    if (!response.ok) {
      throw new RealmError(
        "bundle",
        `${this.where}: no ${MANIFEST} there (HTTP ${response.status}); give the folder that holds it`,
      );
    }
    return this.body(response, MANIFEST, most, () => {});
  }

  async read(
    path: string,
    entry: FileEntry,
    check: (bytes: Uint8Array) => Promise<void>,
  ): Promise<Uint8Array> {
    const cache = await openCache();
    const key = this.key(path, entry);
    const kept = await cache?.match(key);
    if (kept !== undefined) {
      const bytes = new Uint8Array(await kept.arrayBuffer());
      try {
        await check(bytes);
        this.cachedBytes += bytes.length;
        this.progress(path, bytes.length, entry.sizeBytes);
        return bytes;
      } catch {
        await cache?.delete(key); // damaged since: fetched again below
      }
    }
    const bytes = await this.download(path, entry);
    await check(bytes);
    // A full disk must not stop anyone: the models are here, only not kept.
    await cache?.put(key, new Response(bytes as Uint8Array<ArrayBuffer>)).catch(() => {});
    return bytes;
  }

  /** Forget what the cache keeps of this bundle and the manifest does not list any more. */
  async prune(manifest: Manifest): Promise<void> {
    const cache = await openCache();
    if (cache === null) return;
    const wanted = new Set([...manifest.files].map(([path, entry]) => this.key(path, entry)));
    for (const { url } of await cache.keys()) {
      if (url.startsWith(this.base) && !wanted.has(url)) await cache.delete(url);
    }
  }

  private key(path: string, entry: FileEntry): string {
    return `${this.address(path).href}?sha256=${encodeURIComponent(entry.sha256)}`;
  }

  private async fetch(path: string, cache: RequestCache): Promise<Response> {
    const address = this.address(path);
    try {
      return await fetch(address, { cache });
    } catch (error) {
      throw new RealmError(
        "bundle",
        `${this.where}${path}: cannot be fetched (${messageOf(error)}); is the server still there?`,
      );
    }
  }

  private async download(path: string, entry: FileEntry): Promise<Uint8Array> {
    // Kept by us under its checksum: the browser's own cache would hold it twice.
    const response = await this.fetch(path, "no-store");
    if (!response.ok) {
      throw new RealmError("bundle", `${this.where}${path}: is missing; get the bundle again`);
    }
    return this.body(response, path, entry.sizeBytes, (done) =>
      this.progress(path, Math.min(done, entry.sizeBytes), entry.sizeBytes),
    );
  }

  /** Bytes of a response; of one that is longer than `most` only as many as show it. */
  private async body(
    response: Response,
    path: string,
    most: number,
    progress: (done: number) => void,
  ): Promise<Uint8Array> {
    const reader = response.body!.getReader();
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let done = 0;
    try {
      for (let step = await reader.read(); !step.done; step = await reader.read()) {
        parts.push(step.value);
        done += step.value.length;
        progress(done);
        if (done > most) break;
      }
    } catch (error) {
      throw new RealmError(
        "bundle",
        `${this.where}${path}: the download broke off (${messageOf(error)}); try again`,
      );
    }
    reader.cancel().catch(() => {});
    return new Uint8Array(await new Blob(parts).arrayBuffer());
  }

  /** The address of a file. Throws RealmError "bundle" for one outside the folder, whatever the manifest was let say. */
  private address(path: string): URL {
    const address = new URL(path, this.base);
    if (address.href.startsWith(this.base)) return address;
    throw new RealmError(
      "bundle",
      `${this.where}: the path '${path}' leaves the bundle; do not use a bundle that asks for it`,
    );
  }
}

/** Cache Storage, null where the browser has none: outside https and localhost, and in some private windows. */
async function openCache(): Promise<Cache | null> {
  if (typeof caches === "undefined") return null;
  return caches.open(CACHE).catch(() => null);
}
