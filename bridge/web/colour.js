// A site's own colour made legible: 3:1 from the page behind it, and what stands on it 4.5:1 (WCAG 2.2).
const INK = [12, 21, 38];
const WHITE = [255, 255, 255];
const PAGE = { light: WHITE, dark: [23, 25, 28] };

/** Relative luminance, plus 0.05. @param {number[]} colour */
const luminance = (colour) => {
  const [r = 0, g = 0, b = 0] = colour.map((part) => {
    const c = part / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
};

/** @param {number[]} one @param {number[]} other */
export const contrast = (one, other) => {
  const ratio = luminance(one) / luminance(other);
  return ratio < 1 ? 1 / ratio : ratio;
};

/**
 * The colour, nearer to black or white until it stands out, and the ink for words on it.
 * @param {string} hex such as #1f5fd6
 * @param {boolean} dark
 * @returns {{ colour: string, ink: string, mended: boolean } | null} null for what is no colour
 */
export function legible(hex, dark) {
  const given = /^#(..)(..)(..)$/.exec(hex)?.slice(1).map((part) => parseInt(part, 16)) ?? [NaN];
  if (given.some(isNaN)) return null;
  const page = dark ? PAGE.dark : PAGE.light, toward = dark ? 255 : 0;
  let colour = given;
  for (let step = 1; step <= 20 && contrast(colour, page) < 3; step++) {
    colour = given.map((part) => Math.round(part + ((toward - part) * step) / 20));
  }
  const ink = contrast(colour, WHITE) < 4.5 ? INK : WHITE;
  return { colour: `rgb(${colour.join(" ")})`, ink: `rgb(${ink.join(" ")})`, mended: `${colour}` !== `${given}` };
}
