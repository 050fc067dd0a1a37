/** Colours of the page's canvases, which follow the style sheet's light and dark themes. */

export type Shade = "left" | "right" | "middle";

/** A custom property of the style sheet. */
export function themeColor(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

export function onThemeChange(update: () => void): void {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", update);
}

/** #rrggbb mixed with another. */
export function mix(first: string, second: string, share: number): string {
  const part = (color: string, at: number) => parseInt(color.slice(at, at + 2), 16);
  const blend = (at: number) =>
    Math.round(part(first, at) + (part(second, at) - part(first, at)) * share);
  return `#${[1, 3, 5].map((at) => blend(at).toString(16).padStart(2, "0")).join("")}`;
}

/** A person's colour on a limb: left limbs lighter, right limbs darker. */
export function limbColor(color: string, joint: string): string {
  if (joint.startsWith("left_")) return mix(color, "#ffffff", 0.5);
  if (joint.startsWith("right_")) return mix(color, "#0c0e12", 0.38);
  return color;
}

/** A person's colour for lines and words: dark enough on a light page. */
export function inkColor(color: string): string {
  return mix(color, "#000000", Number(themeColor("ink-dark")) || 0);
}
