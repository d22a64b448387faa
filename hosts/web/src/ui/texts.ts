/** The texts: a field with suggestions, and those that were added to the list. */

import { box, button, input } from "./dom";

export class Texts {
  private readonly field = input("text");
  private readonly list = box("texts");
  private readonly suggestionList = box("suggestion-list");
  private chosen: string[] = [];

  /** `changed`: there are other texts now. */
  constructor(private readonly changed: () => void) {
    this.field.addEventListener("input", changed);
    button("add-text").addEventListener("click", () => {
      const text = this.field.value;
      this.field.value = "";
      this.add(text);
      this.field.focus();
    });
  }

  /** What stands in the list and in the field, none blank, none twice. */
  get values(): string[] {
    return [...new Set([...this.chosen, this.field.value])].filter((text) => text.trim() !== "");
  }

  /** One text in the field, nothing in the list. */
  replace(text: string): void {
    this.chosen = [];
    this.field.value = text;
    this.draw();
  }

  suggest(phrases: readonly string[]): void {
    box("suggestions").hidden = phrases.length === 0;
    box("phrases").replaceChildren(...phrases.map((phrase) => new Option(phrase, phrase)));
    this.suggestionList.replaceChildren(
      ...phrases.map((phrase) => {
        const chip = document.createElement("button");
        chip.type = "button";
        chip.className = "chip";
        chip.textContent = phrase;
        chip.addEventListener("click", () =>
          this.chosen.includes(phrase) ? this.remove(phrase) : this.add(phrase),
        );
        return chip;
      }),
    );
    this.draw();
  }

  private add(text: string): void {
    if (text.trim() !== "" && !this.chosen.includes(text)) this.chosen.push(text);
    this.draw();
  }

  private remove(text: string): void {
    this.chosen = this.chosen.filter((other) => other !== text);
    this.draw();
  }

  private draw(): void {
    this.changed();
    this.list.hidden = this.chosen.length === 0;
    this.list.replaceChildren(
      ...this.chosen.map((text) => {
        const item = document.createElement("li");
        const chip = document.createElement("button");
        chip.type = "button";
        chip.className = "chip chosen";
        chip.textContent = text;
        chip.setAttribute("aria-label", `Remove: ${text}`);
        chip.addEventListener("click", () => {
          this.remove(text);
          this.field.focus();
        });
        item.append(chip);
        return item;
      }),
    );
    for (const chip of this.suggestionList.children) {
      chip.setAttribute("aria-pressed", String(this.chosen.includes(chip.textContent ?? "")));
    }
  }
}
