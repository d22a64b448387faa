/** What the page says beside its results: one error at a time, notes, and a quiet status for screen readers. */

import { box } from "./dom";

const alertBox = box("alert");
const notesList = box("notes");
const statusLine = box("status");

/** Show an error, which assistive technology reads at once. */
export function showError(message: string): void {
  alertBox.textContent = message;
  alertBox.hidden = false;
}

export function clearError(): void {
  alertBox.hidden = true;
  alertBox.textContent = "";
}

/** Something worth knowing that stops nothing; each said once until cleared. */
export function showNote(message: string, lasting = false): void {
  for (const item of notesList.children) if (item.textContent === message) return;
  const item = document.createElement("li");
  item.textContent = message;
  item.dataset.lasting = String(lasting);
  notesList.append(item);
  notesList.hidden = false;
}

/** Forget the notes of the last picture or run; those about the browser stay. */
export function clearNotes(): void {
  for (const item of [...notesList.children] as HTMLElement[])
    if (item.dataset.lasting !== "true") item.remove();
  notesList.hidden = notesList.children.length === 0;
}

export function say(message: string): void {
  statusLine.textContent = message;
}
