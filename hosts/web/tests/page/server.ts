/** A static server for what Python's cannot do: a sub-path, headers, and files that are damaged on their way. */

import fs from "node:fs";
import http from "node:http";
import type { AddressInfo } from "node:net";
import path from "node:path";
import { fileURLToPath } from "node:url";

const DIST = process.env.REALM_DIST ?? fileURLToPath(new URL("../../dist", import.meta.url));
const TYPES: Record<string, string> = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".wasm": "application/wasm",
  ".json": "application/json",
  ".webmanifest": "application/manifest+json",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

export interface Options {
  headers?: Record<string, string>;
  /** Another content for a file (path below the page), null where it is to be missing. */
  change?(file: string, content: Buffer): Buffer | null;
}

export interface Site {
  readonly url: string;
  /** Files that were asked for, in order. */
  readonly requests: string[];
  change: NonNullable<Options["change"]>;
  /** Another name for a folder below the page, { "other/": "bundle/" }, or a name for one elsewhere on disk. */
  alias: Record<string, string>;
  close(): Promise<void>;
}

/** Serve the built page under /sub/path/. */
export async function serve(options: Options = {}): Promise<Site> {
  const requests: string[] = [];
  const server = http.createServer((request, response) => {
    const address = new URL(request.url ?? "/", "http://localhost").pathname;
    let file = address.replace(/^\/sub\/path\//, "") || "index.html";
    for (const [name, folder] of Object.entries(site.alias)) {
      if (file.startsWith(name)) file = folder + file.slice(name.length);
    }
    const full = path.resolve(DIST, file);
    requests.push(file);
    const found = address.startsWith("/sub/path/") && fs.existsSync(full) && fs.statSync(full).isFile();
    const content = found ? site.change(file, fs.readFileSync(full)) : null;
    if (content === null) {
      response.writeHead(404).end("not here");
      return;
    }
    const type = TYPES[path.extname(file)] ?? "application/octet-stream";
    response.writeHead(200, { "Content-Type": type, ...options.headers }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const site: Site = {
    url: `http://127.0.0.1:${port}/sub/path/`,
    requests,
    alias: {},
    change: options.change ?? ((_, content) => content),
    close: () =>
      new Promise((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
  return site;
}
