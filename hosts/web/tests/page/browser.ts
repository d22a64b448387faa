/** A headless Chromium: the one named by REALM_CHROMIUM, one on the PATH, else the npm package's. */

import { execFileSync } from "node:child_process";
import { type Browser, chromium } from "playwright-core";

function onPath(): string | null {
  for (const name of ["chromium", "chromium-browser", "google-chrome", "chrome"]) {
    try {
      return execFileSync("which", [name], { encoding: "utf8" }).trim();
    } catch {
      // the next name
    }
  }
  return null;
}

/** Whether the libraries are installed that every Chromium needs and a bare container lacks. */
function hasLibraries(): boolean {
  try {
    return execFileSync("/sbin/ldconfig", ["-p"], { encoding: "utf8" }).includes("libnss3.so");
  } catch {
    return true; // no ldconfig: let Chromium find out
  }
}

/** The npm package's browser. It brings those libraries, but unpacks them only where it believes to be in a Lambda. */
async function fromPackage(): Promise<string> {
  if (!hasLibraries()) process.env.AWS_LAMBDA_JS_RUNTIME ??= "nodejs20.x";
  const { default: chromiumPackage } = await import("@sparticuz/chromium");
  return chromiumPackage.executablePath();
}

/** For contexts in which every file is to come from the server: without the worker that keeps the page. */
export const UNKEPT = { serviceWorkers: "block" } as const;

/** Flags of the npm package are left out: they switch off what is tested here (web security, site isolation). */
export async function launch(flags: readonly string[] = []): Promise<Browser> {
  const executablePath = process.env.REALM_CHROMIUM || onPath() || (await fromPackage());
  return chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage", ...flags] });
}
