/** A headless Chromium: the one named by REALM_CHROMIUM, one on the PATH, else the npm package's. */

import { execFileSync } from "node:child_process";
import chromiumPackage from "@sparticuz/chromium";
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

export async function launch(flags: readonly string[] = []): Promise<Browser> {
  const own = process.env.REALM_CHROMIUM || onPath();
  const executablePath = own ?? (await chromiumPackage.executablePath());
  return chromium.launch({
    executablePath,
    args: ["--no-sandbox", "--disable-dev-shm-usage", ...(own === null ? packageFlags() : []), ...flags],
  });
}

/** What the package's build, made for small containers, needs beyond Playwright's own flags. */
function packageFlags(): string[] {
  const wanted = ["--single-process", "--no-zygote"];
  return chromiumPackage.args.filter((flag) => !wanted.includes(flag) && !flag.startsWith("--headless"));
}
