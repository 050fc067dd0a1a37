/** The whole clip as a bar: who is in sight when, and the key frames. */

import { Clip } from "./data";
import { inkColor, themeColor } from "./theme";

const LANE = 7;
const TICKS = 12;

export class Timeline {
  private readonly context: CanvasRenderingContext2D;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly clip: Clip) {
    this.context = canvas.getContext("2d")!;
    canvas.style.height = `${TICKS + LANE * Math.max(clip.people.length, 1) + 4}px`;
  }

  /** Draw all of it: on a new size, theme or choice of people, not on every frame. */
  draw(visible: boolean[]): void {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = devicePixelRatio;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.context.scale(ratio, ratio);
    const { times, keyframes, people } = this.clip;
    const span = times[times.length - 1] - times[0] || 1;
    const at = (frame: number) => ((times[frame] - times[0]) / span) * width;
    const crowded = keyframes.length > width / 3;
    this.context.fillStyle = themeColor("accent");
    this.context.globalAlpha = crowded ? 0.5 : 1;
    for (const frame of keyframes) {
      this.context.fillRect(Math.min(Math.max(at(frame) - 0.75, 0), width - 1.5), 0, 1.5, TICKS - 3);
    }
    people.forEach((person, index) => {
      this.context.fillStyle = inkColor(person.color);
      this.context.globalAlpha = visible[index] ? 1 : 0.25;
      for (const [start, end] of person.runs) {
        const left = at(start);
        const right = at(Math.min(end, times.length - 1));
        this.context.fillRect(left, TICKS + LANE * index, Math.max(right - left, 2), LANE - 3);
      }
    });
  }
}
