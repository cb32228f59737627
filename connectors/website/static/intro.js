import { h } from "./dom.js";
import { texts } from "./texts.js";

/** @import { Settings } from "./types" */

/** What stands above the first message. @param {Settings} settings */
export function intro({ assistant, privacy_url: privacy }) {
  const safe = !!privacy && /^https?:/.test(new URL(privacy, location.href).protocol);
  return h(
    "div", { class: "intro" },
    h("p", { class: "hello" }, texts.hello),
    h("p", {}, assistant ? texts.helloAi : texts.helloTeam),
    safe && h("p", {}, h("a", { href: privacy, target: "_blank", rel: "noopener noreferrer" }, texts.privacy)),
  );
}
