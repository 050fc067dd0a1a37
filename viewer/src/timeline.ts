/** The whole clip as a bar: who is in sight when, the key frames, and where the film was cut. */

import { Clip } from "./data";
import { inkColor, themeColor } from "./theme";

/** Pixels of a person's lane, less where they would be higher together than the 3D view. */
const LANE = 7;
const TALLEST = 210;
const TICKS = 12;
/** Share of a lane that its bar fills. */
const FILLED = 4 / 7;

export class Timeline {
  private readonly context: CanvasRenderingContext2D;
  private readonly lane: number;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly clip: Clip) {
    this.context = canvas.getContext("2d")!;
    const lanes = Math.max(clip.people.length, 1);
    this.lane = Math.min(LANE, TALLEST / lanes);
    canvas.style.height = `${TICKS + this.lane * lanes + 4}px`;
  }

  /** Draw all of it: on a new size, theme or choice of people, not on every frame. */
  draw(visible: boolean[]): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.context.scale(ratio, ratio);
    const { times, keyframes, cuts, people } = this.clip;
    // By frame, as the slider above goes: times may be uneven.
    const at = (frame: number) => (frame / Math.max(times.length - 1, 1)) * width;
    const crowded = keyframes.length > width / 3;
    this.context.fillStyle = themeColor("accent");
    this.context.globalAlpha = crowded ? 0.5 : 1;
    for (const frame of keyframes) {
      this.context.fillRect(Math.min(Math.max(at(frame) - 0.75, 0), width - 1.5), 0, 1.5, TICKS - 3);
    }
    this.context.fillStyle = themeColor("dim");
    this.context.globalAlpha = 1;
    for (const frame of cuts) this.context.fillRect(at(frame - 0.5) - 0.5, 0, 1, height);
    people.forEach((person, index) => {
      this.context.fillStyle = inkColor(person.color);
      this.context.globalAlpha = visible[index] ? 1 : 0.25;
      for (const [start, end] of person.runs) {
        const left = at(start);
        const right = at(Math.min(end, times.length - 1));
        const top = TICKS + this.lane * index;
        this.context.fillRect(left, top, Math.max(right - left, 2), this.lane * FILLED);
      }
    });
  }
}
