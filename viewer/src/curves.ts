/** Speeds and joint angles over time, of everybody who is shown. */

import uPlot from "uplot";
import { Clip, Person, clock, frameAt, inSight } from "./data";
import { inkColor, themeColor } from "./theme";

const HEIGHT = 260;
const SIDES = ["left_", "right_"];
const DASHES: Record<string, number[]> = { right_: [6, 4] };
/** Values from which on a step is no movement but an angle's way round the circle. */
const TURN = 180;

/** One quantity: a curve, or those of the left and the right side. */
interface Quantity {
  name: string;
  unit: string;
  text: string;
  sides: { prefix: string; column: number; step: number }[];
}

export class Curves {
  readonly quantities: Quantity[];
  private plot: uPlot | null = null;
  private readonly head: HTMLElement;
  private quantity: Quantity;
  private span = Infinity;
  private shown: number[] = [];

  /** @param onSeek called with the frame that is pointed at */
  constructor(private readonly box: HTMLElement, private readonly clip: Clip, private readonly onSeek: (frame: number) => void) {
    this.quantities = quantitiesOf(clip);
    this.quantity = this.quantities[0];
    this.head = document.createElement("div");
    this.head.className = "playhead";
  }

  /** Draw a quantity of the people shown, in a window of `span` seconds. */
  show(quantity: number, visible: boolean[], span: number, frame: number): void {
    this.quantity = this.quantities[quantity];
    this.span = span;
    this.shown = visible.flatMap((seen, index) => (seen ? [index] : []));
    this.plot?.destroy();
    this.plot = new uPlot(this.options(), this.data(), this.box);
    this.plot.over.append(this.head);
    this.plot.over.addEventListener("pointerdown", (event) => this.scrub(event));
    this.plot.over.addEventListener("pointermove", (event) => this.scrub(event));
    this.turnTo(frame);
    this.moveHead(frame);
  }

  resize(): void {
    const width = this.box.clientWidth;
    if (width) this.plot?.setSize({ width, height: HEIGHT });
  }

  /** Go to a frame: moves the line; turns the page where the frame is outside the window. */
  moveTo(frame: number): void {
    const { min, max } = this.plot!.scales.x;
    const time = this.clip.times[frame];
    // At once, as the line's place goes by the window.
    if (time < min! || time > max!) this.plot!.batch(() => this.turnTo(frame));
    this.moveHead(frame);
  }

  /** The values at a frame of those in sight, as words. */
  readout(frame: number): string {
    const digits = this.quantity.unit === "m/s" ? 2 : 0;
    const there = this.shown.filter((index) => inSight(this.clip.people[index], frame));
    if (!there.length) return "Nobody in sight";
    return there
      .map((index) => {
        const person = this.clip.people[index];
        const values = this.quantity.sides.map(({ prefix, column, step }) => {
          const value = this.value(person, column, frame) * step;
          const side = prefix ? ` ${prefix.slice(0, -1)}` : "";
          return `${Number.isNaN(value) ? "–" : value.toFixed(digits)}${side}`;
        });
        return `${person.name}: ${values.join(", ")}`;
      })
      .join(" · ");
  }

  private value(person: Person, column: number, frame: number): number {
    return person.curves[(frame - person.first) * this.clip.curves.length + column] ?? NaN;
  }

  private moveHead(frame: number): void {
    const left = this.plot!.valToPos(this.clip.times[frame], "x");
    this.head.style.transform = `translateX(${left}px)`;
  }

  private turnTo(frame: number): void {
    const { times } = this.clip;
    const [first, last] = [times[0], times[times.length - 1]];
    const whole = this.span >= last - first;
    const page = Math.floor((times[frame] - first) / this.span);
    const min = whole ? first : first + page * this.span;
    this.plot!.setScale("x", { min, max: whole ? Math.max(last, first + 0.01) : min + this.span });
  }

  private scrub(event: PointerEvent): void {
    if (!(event.buttons & 1)) return;
    if (event.type === "pointerdown") this.plot!.over.setPointerCapture(event.pointerId);
    const { times } = this.clip;
    const { min, max } = this.plot!.scales.x;
    const first = times.findIndex((time) => time >= min!);
    const last = times.findLastIndex((time) => time <= max!);
    const frame = frameAt(times, this.plot!.posToVal(event.offsetX, "x"));
    this.onSeek(Math.min(Math.max(frame, first), last)); // beyond, every move would turn the page
  }

  private data(): uPlot.AlignedData {
    const { times, people } = this.clip;
    const series = this.shown.flatMap((index) =>
      this.quantity.sides.map(({ column, step }) => this.series(people[index], column, step)),
    );
    return [times, ...series] as unknown as uPlot.AlignedData;
  }

  /** A curve with gaps where nothing is known and where an angle goes round. */
  private series(person: Person, column: number, step: number): (number | null)[] {
    const values: (number | null)[] = new Array(this.clip.times.length);
    let last = NaN;
    for (let frame = 0; frame < values.length; frame++) {
      const value = this.value(person, column, frame) * step;
      const broken = Number.isNaN(value) || (this.quantity.unit === "°" && Math.abs(value - last) > TURN);
      values[frame] = broken ? null : value;
      last = value;
    }
    return values;
  }

  private options(): uPlot.Options {
    const axis = {
      stroke: () => themeColor("dim"),
      grid: { stroke: () => themeColor("grid"), width: 1 },
      ticks: { show: false },
      font: "12px system-ui, sans-serif",
    };
    return {
      width: this.box.clientWidth || 600,
      height: HEIGHT,
      legend: { show: false },
      cursor: { show: false },
      scales: { x: { time: false } },
      axes: [
        { ...axis, values: (_, ticks, __, ___, step) => ticks.map((tick) => clock(tick, digitsOf(step))) },
        { ...axis, size: 52, values: (_, ticks) => ticks.map((tick) => `${tick}`) },
      ],
      series: [
        {},
        ...this.shown.flatMap((index) =>
          this.quantity.sides.map(({ prefix }) => ({
            stroke: () => inkColor(this.clip.people[index].color),
            width: 1.5,
            dash: DASHES[prefix],
            points: { show: false },
          })),
        ),
      ],
    };
  }
}

/** Digits after the point that tell multiples of a step apart. */
function digitsOf(step: number): number {
  return [0, 1, 2].find((digits) => Math.abs((step * 10 ** digits) % 1) < 1e-6) ?? 3;
}

/** Curves by what they measure, left and right together. */
function quantitiesOf(clip: Clip): Quantity[] {
  const found = new Map<string, Quantity>();
  clip.curves.forEach(({ name, step, text }, column) => {
    const prefix = SIDES.find((side) => name.startsWith(side)) ?? "";
    const key = name.slice(prefix.length);
    const words = key.replaceAll("_", " ");
    if (!found.has(key)) {
      const label = words.charAt(0).toUpperCase() + words.slice(1);
      found.set(key, { name: label, unit: key.endsWith("speed") ? "m/s" : "°", text, sides: [] });
    }
    found.get(key)!.sides.push({ prefix, column, step });
  });
  return [...found.values()];
}
