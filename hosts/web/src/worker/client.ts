/** The page's end of the worker: calls that are promises, with events and an AbortSignal. */

import type { CallName, Calls, Event, Failure, FromWorker, ToWorker } from "./protocol";
import workerUrl from "./worker?worker&url";

/** What the worker could not do; `kind` "cancelled" where the caller wanted it so. */
export class WorkerError extends Error {
  readonly kind: Failure["kind"];

  constructor({ kind, message }: Failure) {
    super(message);
    this.kind = kind;
  }
}

interface Pending {
  resolve(result: unknown): void;
  reject(error: WorkerError): void;
  onEvent(event: Event): void;
}

export interface Options {
  signal?: AbortSignal;
  onEvent?(event: Event): void;
}

/**
 * A worker that obeys the page's Content-Security-Policy. A worker loaded from an address has its own headers,
 * which a plain static server does not set; one made of a blob inherits the page's policy, and so may not
 * send anything anywhere either.
 */
function startWorker(): Worker {
  const address = new URL(workerUrl, import.meta.url).href;
  const blob = new Blob([`import ${JSON.stringify(address)};`], { type: "text/javascript" });
  return new Worker(URL.createObjectURL(blob), { type: "module", name: "realm" });
}

export class Client {
  private readonly worker = startWorker();
  private readonly pending = new Map<number, Pending>();
  private next = 1;

  /** `broken` is told when the worker itself dies. */
  constructor(broken: (message: string) => void) {
    this.worker.onmessage = ({ data }: MessageEvent<FromWorker>) => this.receive(data);
    this.worker.onerror = (event) => {
      const message = event.message || "the worker could not be started; is the page complete on its server?";
      for (const call of this.pending.values()) call.reject(new WorkerError({ kind: "bug", message }));
      this.pending.clear();
      broken(message);
    };
  }

  /** Ask the worker for something. Rejects with WorkerError. */
  call<K extends CallName>(
    name: K,
    params: Calls[K]["params"],
    options: Options = {},
  ): Promise<Calls[K]["result"]> {
    const id = this.next++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, {
        resolve: resolve as (result: unknown) => void,
        reject,
        onEvent: options.onEvent ?? (() => {}),
      });
      options.signal?.addEventListener("abort", () => this.send({ type: "cancel", id }));
      this.send({ type: "call", id, name, params } as ToWorker);
      if (options.signal?.aborted) this.send({ type: "cancel", id });
    });
  }

  private send(message: ToWorker): void {
    this.worker.postMessage(message);
  }

  private receive(message: FromWorker): void {
    const call = this.pending.get(message.id);
    if (call === undefined) return;
    if (message.type === "event") {
      call.onEvent(message.event);
      return;
    }
    this.pending.delete(message.id);
    if (message.type === "result") call.resolve(message.result);
    else call.reject(new WorkerError(message.failure));
  }
}
