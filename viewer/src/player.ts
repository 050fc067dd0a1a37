/** What time it is: plays, seeks, and keeps the video and the frame in step. */

import { frameAt } from "./data";

/**
 * Animation frames from a video's pause to its next seek. Where the seek follows sooner, Chromium
 * now and then leaves one of the pictures that were played on the screen.
 */
const SETTLING = 2;

export class Player {
  frame = 0;
  playing = false;
  loop = true;
  /** Called when the frame or whether it plays has changed. */
  onChange: () => void = () => {};
  private rate = 1;
  private seconds: number;
  private last = 0;
  private wanted: number | null = null;
  private settling = 0;

  /**
   * @param times seconds of each frame, rising
   * @param video its picture, or null: then time passes by the computer's clock
   * @param offset seconds to add to `times` for the video's clock
   */
  constructor(
    readonly times: Float64Array,
    private video: HTMLVideoElement | null,
    private offset = 0,
  ) {
    this.seconds = times[0];
    video?.addEventListener("seeked", () => this.seekVideo());
    video?.addEventListener("loadeddata", () => this.seek(this.frame));
    requestAnimationFrame(this.tick);
  }

  get end(): number {
    return this.times[this.times.length - 1];
  }

  get speed(): number {
    return this.rate;
  }

  set speed(rate: number) {
    this.rate = rate;
    if (this.video) this.video.playbackRate = rate;
  }

  /** Go on without the video, which cannot be shown. */
  dropVideo(): void {
    this.video = null;
  }

  play(): void {
    if (this.playing) return;
    if (this.frame === this.times.length - 1) this.seek(0);
    this.playing = true;
    this.last = performance.now();
    this.video?.play().catch(() => this.pause());
    this.onChange();
  }

  pause(): void {
    if (!this.playing) return;
    this.playing = false;
    this.video?.pause();
    this.settling = SETTLING;
    this.seek(this.frame);
  }

  toggle(): void {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Show a frame now; the video follows as fast as it can. */
  seek(frame: number): void {
    this.frame = Math.min(Math.max(Math.round(frame), 0), this.times.length - 1);
    this.seconds = this.times[this.frame];
    this.wanted = this.middle(this.frame);
    this.seekVideo();
    this.onChange();
  }

  /** A moment at which a video surely shows a frame: not at its edge. */
  private middle(frame: number): number {
    const next = this.times[frame + 1] ?? this.times[frame] + 0.01;
    return this.times[frame] + this.offset + Math.min((next - this.times[frame]) / 2, 0.02);
  }

  /** Send the video to the moment asked for last; those asked for while it sought are skipped. */
  private seekVideo(): void {
    if (!this.video || this.wanted === null || this.video.readyState < 1) return;
    if (this.settling || this.video.seeking) return;
    const time = this.wanted;
    this.wanted = null;
    if (Math.abs(this.video.currentTime - time) > 1e-4) this.video.currentTime = time;
  }

  private tick = (now: number): void => {
    requestAnimationFrame(this.tick);
    if (this.settling && --this.settling === 0) this.seekVideo();
    if (!this.playing) return;
    this.seconds = this.video
      ? this.video.currentTime - this.offset
      : this.seconds + ((now - this.last) / 1000) * this.rate;
    this.last = now;
    if (this.settling || this.video?.seeking) return;
    if (this.video?.ended || this.seconds > this.end + this.lastPeriod) this.finish();
    else this.show(frameAt(this.times, this.seconds));
  };

  private get lastPeriod(): number {
    const count = this.times.length;
    return count > 1 ? this.times[count - 1] - this.times[count - 2] : 0;
  }

  private show(frame: number): void {
    if (frame === this.frame) return;
    this.frame = frame;
    this.onChange();
  }

  private finish(): void {
    this.frame = this.times.length - 1;
    if (this.loop && this.times.length > 1) {
      this.seek(0);
      this.video?.play().catch(() => this.pause());
    } else this.pause();
  }
}
