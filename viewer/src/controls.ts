/** Buttons, boxes and keys. */

import { Clip, clock, frameAt } from "./data";
import { Layers } from "./figures";
import { Player } from "./player";
import { Stage, View } from "./stage";

const LAYERS = ["overlay", "spread", "feet", "paths", "names", "camera"] as const;

/** Length of a clip from which on its curves are unreadable all at once. */
const CROWDED_SECONDS = 45;

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;

export class Controls {
  readonly visible: boolean[];
  readonly layers = {} as Layers & { overlay: boolean; camera: boolean };
  quantity = 0;
  span = Infinity;
  /** Called when other people or another curve are to be shown. */
  onChoice: () => void = () => {};
  /** Called when a layer was switched or the view changed. */
  onLayers: () => void = () => {};
  private followed: number | null = null;
  private readonly boxes: HTMLInputElement[] = [];
  private readonly followers: HTMLButtonElement[] = [];
  private readonly scrub = element<HTMLInputElement>("scrub");
  private readonly time = element("time");
  private readonly readout = element("readout");
  private readonly play = element("play");
  private readonly speed = element<HTMLSelectElement>("speed");
  private readonly length: string;

  constructor(
    private readonly clip: Clip,
    private readonly player: Player,
    private readonly stage: Stage | null,
    quantities: { name: string; unit: string; text: string }[],
  ) {
    this.visible = clip.people.map(() => true);
    this.length = clock(player.end);
    element("title").textContent = clip.title;
    element("skeleton").hidden = !clip.video;
    this.scrub.max = String(clip.times.length - 1);
    this.addFacts();
    this.addPeople();
    this.addLayers();
    this.addTransport();
    this.addCurves(quantities);
    for (const button of document.querySelectorAll<HTMLButtonElement>("[data-view]")) {
      button.onclick = () => this.look(button.dataset.view as View);
    }
    element("about-open").onclick = () => element<HTMLDialogElement>("about").showModal();
    document.addEventListener("keydown", (event) => this.onKey(event));
  }

  /** What changes with every frame: words and places, no elements are made. */
  showFrame(readout: string): void {
    const { frame, playing, times } = this.player;
    const now = clock(times[frame]);
    this.time.textContent = `${now} / ${this.length} · frame ${frame}`;
    this.scrub.value = String(frame);
    this.readout.textContent = readout;
    if (this.play.classList.toggle("playing", playing) !== (this.play.ariaLabel === "Pause")) {
      this.play.ariaLabel = playing ? "Pause" : "Play";
    }
    if (!playing) this.scrub.ariaValueText = `${now}, frame ${frame}`;
  }

  private addFacts(): void {
    for (const [label, text] of this.clip.facts) {
      element("facts").append(make("dt", label), make("dd", text));
    }
  }

  private addPeople(): void {
    this.clip.people.forEach(({ name, color }, index) => {
      const box = Object.assign(document.createElement("input"), { type: "checkbox", checked: true });
      box.onchange = () => this.showPerson(index, box.checked);
      const swatch = make("span", "", "swatch");
      swatch.style.background = color;
      const label = make("label", "", "check");
      label.append(box, swatch, name);
      const button = Object.assign(make("button", "Follow"), { type: "button" });
      button.ariaLabel = `Follow ${name}`;
      button.ariaPressed = "false";
      button.onclick = () => this.follow(this.followed === index ? null : index);
      const row = make("li", "");
      row.append(label, button);
      element("people").append(row);
      this.boxes.push(box);
      this.followers.push(button);
    });
    if (!this.clip.people.length) element("people").append(make("li", "No people were found.", "dim"));
  }

  private addLayers(): void {
    for (const layer of LAYERS) {
      const box = element<HTMLInputElement>(`layer-${layer}`);
      this.layers[layer] = box.checked;
      box.onchange = () => {
        this.layers[layer] = box.checked;
        this.onLayers();
      };
    }
  }

  private addTransport(): void {
    const { player } = this;
    this.play.onclick = () => player.toggle();
    element("back").onclick = () => this.step(-1);
    element("forth").onclick = () => this.step(1);
    element("key-back").onclick = () => this.toKeyframe(-1);
    element("key-forth").onclick = () => this.toKeyframe(1);
    this.scrub.oninput = () => player.seek(this.scrub.valueAsNumber);
    const loop = element<HTMLInputElement>("loop");
    const muted = element<HTMLInputElement>("muted");
    const apply = () => {
      player.speed = Number(this.speed.value);
      player.loop = loop.checked;
      element<HTMLVideoElement>("video").muted = muted.checked;
    };
    this.speed.onchange = loop.onchange = muted.onchange = apply;
    apply(); // browsers restore what the fields were when users come back
  }

  private addCurves(quantities: { name: string; unit: string; text: string }[]): void {
    const quantity = element<HTMLSelectElement>("quantity");
    quantities.forEach(({ name }, index) => quantity.add(new Option(name, String(index))));
    const choose = () => {
      this.quantity = Number(quantity.value);
      const { unit, text } = quantities[this.quantity];
      element("unit").textContent = unit === "°" ? "degrees" : "metres a second";
      element("definition").textContent = text;
      this.onChoice();
    };
    quantity.onchange = choose;
    choose();
    const span = element<HTMLSelectElement>("span");
    if (this.player.end - this.clip.times[0] > CROWDED_SECONDS) span.value = "30";
    this.span = Number(span.value);
    span.onchange = () => {
      this.span = Number(span.value);
      this.onChoice();
    };
  }

  private showPerson(index: number, shown: boolean): void {
    this.visible[index] = this.boxes[index].checked = shown;
    this.onChoice();
  }

  private follow(person: number | null): void {
    this.followed = person;
    this.followers.forEach((button, index) => (button.ariaPressed = String(index === person)));
    this.stage?.follow(person);
    this.onLayers();
  }

  private look(view: View): void {
    this.stage?.look(view);
    this.onLayers();
  }

  private step(frames: number): void {
    this.player.pause();
    this.player.seek(this.player.frame + frames);
  }

  /** One second on or back, by the frames' own times; a frame where that one lasts longer. */
  private skip(direction: 1 | -1): void {
    const { times, frame } = this.player;
    const target = frameAt(times, times[frame] + direction);
    this.player.seek(target === frame ? frame + direction : target);
  }

  private toKeyframe(direction: 1 | -1): void {
    const { keyframes } = this.clip;
    const { frame } = this.player;
    const target =
      direction > 0
        ? keyframes.find((key) => key > frame)
        : keyframes.findLast((key) => key < frame);
    if (target !== undefined) this.step(target - frame);
  }

  private changeSpeed(by: 1 | -1): void {
    const index = Math.min(Math.max(this.speed.selectedIndex + by, 0), this.speed.length - 1);
    this.speed.selectedIndex = index;
    this.player.speed = Number(this.speed.value);
  }

  private onKey(event: KeyboardEvent): void {
    const target = event.target as HTMLElement;
    const bracket = event.key === "[" || event.key === "]"; // with Option on many a Mac's keyboard
    const command = event.ctrlKey || event.metaKey || (event.altKey && !bracket);
    if (command || target.closest("select, dialog")) return;
    if (event.key === " " && target.closest("button, input[type=checkbox]")) return;
    if (target === this.scrub && /^(Arrow|Page|Home|End)/.test(event.key)) return; // moves by itself
    const people = this.clip.people.length;
    const next = this.followed === null ? 0 : this.followed + 1;
    const keys: Record<string, () => void> = {
      " ": () => this.player.toggle(),
      ArrowLeft: () => (event.shiftKey ? this.skip(-1) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.skip(1) : this.step(1)),
      Home: () => this.player.seek(0),
      End: () => this.player.seek(this.player.times.length - 1),
      "[": () => this.toKeyframe(-1),
      "]": () => this.toKeyframe(1),
      "-": () => this.changeSpeed(-1),
      "+": () => this.changeSpeed(1),
      "=": () => this.changeSpeed(1),
      f: () => this.follow(next < people ? next : null),
    };
    const digit = Number(event.key) - 1;
    const key = event.key === "F" ? "f" : event.key; // as Caps Lock has it
    if (key in keys) keys[key]();
    else if (digit >= 0 && digit < people) this.showPerson(digit, !this.visible[digit]);
    else return;
    event.preventDefault();
  }
}

function make<K extends keyof HTMLElementTagNameMap>(
  tag: K, text: string, style = "",
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  made.textContent = text;
  made.className = style;
  return made;
}
