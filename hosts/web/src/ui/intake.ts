/** Ways in for a picture: dropping, pasting, a file dialogue, a sample. */

import { box, input } from "./dom";

interface Sample {
  readonly file: string;
  readonly text: string;
  readonly shows: string;
}

const SAMPLES: readonly Sample[] = [
  { file: "cat-doubled.png", text: "doubled, overlapping parts", shows: "a cat with a doubled eye" },
  { file: "coffee-melted.png", text: "melted, dripping edges", shows: "a cup of coffee that melts" },
  { file: "coffee.jpg", text: "", shows: "a cup of coffee" },
];

export interface Intake {
  /** A picture came; `text` is the description of a sample, null where the user's own stays. */
  picture(file: Blob, name: string, text: string | null): void;
  failed(message: string): void;
}

export function listen(intake: Intake): void {
  const chooser = input("file");
  chooser.addEventListener("change", () => {
    take(chooser.files);
    chooser.value = ""; // so that the same file may be chosen again
  });

  function take(files: FileList | null | undefined): boolean {
    const file = files?.[0];
    if (file === undefined) return false;
    intake.picture(file, file.name || "pasted picture", null);
    return true;
  }

  const zone = box("drop");
  let inside = 0; // drags enter and leave every child as well
  const highlight = (change: number) => {
    inside = Math.max(0, inside + change);
    zone.classList.toggle("dragging", inside > 0);
  };
  document.addEventListener("dragenter", () => highlight(1));
  document.addEventListener("dragleave", () => highlight(-1));
  // A picture dropped beside the zone is meant for it: the browser would leave the page to show it.
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    highlight(-inside);
    if (!take(event.dataTransfer?.files)) intake.failed("nothing was dropped that is a file; drop a picture");
  });
  document.addEventListener("paste", (event) => {
    if (take(event.clipboardData?.files)) event.preventDefault();
  });

  box("samples").replaceChildren(
    ...SAMPLES.map((sample) => {
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sample";
      button.setAttribute("aria-label", `Sample: ${sample.shows}`);
      const thumbnail = new Image();
      thumbnail.src = `samples/${sample.file}`;
      thumbnail.alt = "";
      button.append(thumbnail);
      button.addEventListener("click", () => void openSample(sample));
      return button;
    }),
  );

  async function openSample({ file, text }: Sample): Promise<void> {
    const response = await fetch(`samples/${file}`).catch(() => null);
    if (response?.ok) intake.picture(await response.blob(), file, text);
    else intake.failed(`samples/${file}: cannot be fetched; is the server still there?`);
  }
}
