/** The page without a network: its service worker, and what the page says of it. */

import { box, button } from "./dom";
import { showNote } from "./messages";

/** Whether the service worker keeps the models of the bundle that comes with the page. */
export function isKept(): boolean {
  return navigator.serviceWorker?.controller != null;
}

/**
 * Keep the page for later visits without a network. Called when the models are there, so that nothing is fetched twice.
 * Where a browser has no service workers, or none here, the page works as it does without.
 */
export async function keepOffline(): Promise<void> {
  if (!import.meta.env.PROD || navigator.serviceWorker === undefined) return;
  const workers = navigator.serviceWorker;
  workers.addEventListener("message", ({ data }) => {
    if (data?.type === "not-kept") {
      showNote(`The page could not be kept for use without a network (${data.reason}).`, true);
    }
  });
  let asked = false;
  workers.addEventListener("controllerchange", () => {
    if (asked) location.reload();
  });
  button("update").addEventListener("click", () => {
    asked = true;
    registration?.waiting?.postMessage("take-over");
  });
  const registration = await workers.register("sw.js").catch(() => null); // refused, in some private windows
  if (!registration) return;
  const offer = () => {
    // What waits is a new release; the first one has nobody to wait for.
    box("new-release").hidden = registration.waiting === null || workers.controller === null;
  };
  registration.addEventListener("updatefound", () => {
    registration.installing?.addEventListener("statechange", offer);
  });
  offer();
  await workers.ready;
  box("offline").hidden = false;
  document.body.dataset.offline = "true";
}
