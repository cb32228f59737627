let locale = "en";

/** @param {string} to */
export function setTimes(to) {
  try {
    locale = Intl.getCanonicalLocales(to)[0] ?? "en";
  } catch {
    locale = "en";
  }
}

/** Hours and minutes where the visitor is. @param {string | number} at */
export function clock(at) {
  const how = /** @type {const} */ ({ hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  return new Intl.DateTimeFormat(locale, how).format(new Date(at));
}

/** @param {string} tag a language such as ar or he-IL */
export function direction(tag) {
  return /^(ar|arc|ckb|dv|fa|he|iw|ks|ps|sd|ug|ur|yi)(-|$)/i.test(tag) || /-(arab|hebr|thaa)\b/i.test(tag) ? "rtl" : "ltr";
}
