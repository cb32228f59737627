// Moments as people read them, in this device's time zone.

/** @param {string | number} at */
export function hour(at) {
  const date = new Date(at);
  return `${String(date.getHours()).padStart(2, "0")}:${String(date.getMinutes()).padStart(2, "0")}`;
}

/** @param {string | number} at @param {number} now */
export function day(at, now) {
  const date = new Date(at), today = new Date(now);
  const yesterday = new Date(now);
  yesterday.setDate(today.getDate() - 1);
  if (date.toDateString() === today.toDateString()) return "Today";
  if (date.toDateString() === yesterday.toDateString()) return "Yesterday";
  const year = date.getFullYear() === today.getFullYear() ? {} : { year: /** @type {const} */ ("numeric") };
  return date.toLocaleDateString("en-GB", { weekday: "long", day: "numeric", month: "long", ...year });
}

/** The time of day where the visitor is. @param {string} zone @param {number} now */
export function hourIn(zone, now) {
  try {
    return new Intl.DateTimeFormat("en-GB", { timeZone: zone, hour: "2-digit", minute: "2-digit" }).format(now);
  } catch {
    return "";
  }
}

/** @param {string} locale such as "nb-NO" */
export function language(locale) {
  try {
    return new Intl.DisplayNames(["en"], { type: "language" }).of(locale) ?? locale;
  } catch {
    return locale;
  }
}
