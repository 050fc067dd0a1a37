/** The skeletons drawn on the video: 3D joints through the lens that filmed them. */

import { cameraAt, Clip, FilmCamera, Person } from "./data";
import { limbColor } from "./theme";

export class Overlay {
  private readonly context: CanvasRenderingContext2D;
  private readonly pixels: Float64Array;
  private scale = 1;

  constructor(private readonly canvas: HTMLCanvasElement, private readonly clip: Clip) {
    this.context = canvas.getContext("2d")!;
    this.pixels = new Float64Array(2 * clip.joints.length);
  }

  /** Fit the canvas's size on the page, in which the video lies centred and whole. */
  resize(): void {
    const ratio = Math.min(devicePixelRatio, 2);
    const { clientWidth, clientHeight } = this.canvas;
    this.canvas.width = Math.round(clientWidth * ratio);
    this.canvas.height = Math.round(clientHeight * ratio);
    const [width, height] = this.clip.camera.size;
    this.scale = Math.min(this.canvas.width / width, this.canvas.height / height);
    const left = (this.canvas.width - width * this.scale) / 2;
    const top = (this.canvas.height - height * this.scale) / 2;
    this.context.setTransform(this.scale, 0, 0, this.scale, left, top);
    this.context.lineCap = "round";
  }

  draw(frame: number, visible: boolean[], shown: boolean): void {
    const [width, height] = this.clip.camera.size;
    this.context.clearRect(-width, -height, 3 * width, 3 * height);
    if (!shown || !this.scale) return;
    this.context.save();
    this.context.beginPath();
    this.context.rect(0, 0, width, height);
    this.context.clip();
    const camera = cameraAt(this.clip.camera, frame);
    this.clip.people.forEach((person, index) => {
      if (visible[index]) this.drawPerson(person, frame, camera);
    });
    this.context.restore();
  }

  private drawPerson(person: Person, frame: number, camera: FilmCamera): void {
    const { bones, joints } = this.clip;
    const { context, pixels } = this;
    const at = (frame - person.first) * joints.length * 3;
    if (!Number.isFinite(person.joints[at])) return;
    for (let joint = 0; joint < joints.length; joint++) {
      project(camera, person.joints, at + 3 * joint, pixels, 2 * joint);
    }
    const wide = Math.max(...camera.size) / 200;
    for (const [rim, alpha] of [[wide * 0.7, 0.55], [0, 1]]) {
      context.lineWidth = wide + rim;
      context.globalAlpha = alpha;
      for (const [start, end] of bones) {
        context.strokeStyle = rim ? "#0c0e12" : limbColor(person.color, joints[end]);
        context.beginPath();
        context.moveTo(pixels[2 * start], pixels[2 * start + 1]);
        context.lineTo(pixels[2 * end], pixels[2 * end + 1]);
        context.stroke(); // points that the lens does not show are NaN, and such lines are left out
      }
    }
  }
}

/** Pixel of a point of the world; OpenCV's distortion, of which eight coefficients count. */
export function project(
  { rotation: r, position, intrinsics: k, dist, fold }: FilmCamera,
  points: Float32Array, from: number, pixels: Float64Array, to: number,
): void {
  const [dx, dy, dz] = [0, 1, 2].map((axis) => points[from + axis] - position[axis]);
  const along = (axis: number) => r[0][axis] * dx + r[1][axis] * dy + r[2][axis] * dz;
  const z = along(2);
  let [x, y] = z > 1e-3 ? [along(0) / z, along(1) / z] : [NaN, NaN];
  if (dist.length) {
    const [k1, k2, p1, p2, k3 = 0, k4 = 0, k5 = 0, k6 = 0] = dist;
    const q = x * x + y * y;
    if (fold !== null && q >= fold) x = NaN; // the polynomial would put it back into the picture
    const radial = (1 + q * (k1 + q * (k2 + q * k3))) / (1 + q * (k4 + q * (k5 + q * k6)));
    [x, y] = [
      x * radial + 2 * p1 * x * y + p2 * (q + 2 * x * x),
      y * radial + p1 * (q + 2 * y * y) + 2 * p2 * x * y,
    ];
  }
  // Pixel centres lie at integers in a motion file, at halves on a canvas.
  pixels[to] = k[0][0] * x + k[0][1] * y + k[0][2] + 0.5;
  pixels[to + 1] = k[1][1] * y + k[1][2] + 0.5;
}
