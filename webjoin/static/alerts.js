// "Notify me" and "Sound": what reaches somebody who looks elsewhere.
import { names } from "./floor.js";
import { recall, remember } from "./session.js";

const device = () => localStorage;

export class Alerts {
  /** @param {import("./model.js").Model} model @param {(text: string) => void} say @param {() => void} changed */
  constructor(model, say, changed) {
    this.model = model;
    this.say = say;
    this.changed = changed;
    this.notify = recall("joinline.notify", device) === true && this.#permission() === "granted";
    this.sound = recall("joinline.sound", device) === true;
    /** @type {AudioContext | null} */
    this.audio = null;
    this.unread = 0;
    this.waiting = false;
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.unread = 0;
      this.title();
    });
    model.on(["lines"], (lines) => this.#heard(lines));
    model.on(["state"], () => this.title());
  }

  #permission() {
    return "Notification" in window ? Notification.permission : "denied";
  }

  async toggleNotify() {
    if (this.notify) this.notify = false;
    else {
      const allowed = "Notification" in window ? await Notification.requestPermission() : "denied";
      this.notify = allowed === "granted";
      if (!this.notify) this.say("This browser does not allow notifications here. Its settings can.");
    }
    if (this.model.joined) remember("joinline.notify", this.notify || null, device);
    this.changed();
  }

  toggleSound() {
    this.sound = !this.sound;
    if (this.model.joined) remember("joinline.sound", this.sound || null, device);
    if (this.sound) this.#ring();
    this.changed();
  }

  /** @param {import("./page").Line[]} lines */
  #heard(lines) {
    if (!this.model.loaded) return;
    const said = lines.filter((l) => l.event.type === "Said" && l.by.role === "visitor");
    const wanted = lines.some((l) => l.event.type === "HelpWanted");
    if (!said.length && !wanted) return;
    if (document.hidden) this.unread += said.length;
    this.title();
    const mine = this.model.view?.holder_id === this.model.me && this.model.joined;
    if (this.sound && (document.hidden || mine || wanted)) this.#ring();
    if (!this.notify || !document.hidden) return;
    const { subject } = names(this.model.view);
    const last = said.at(-1)?.event;
    const text = wanted ? `${subject} is waiting for a person` : last?.type === "Said" ? last.text.slice(0, 160) : "";
    try {
      const shown = new Notification(`${this.model.invitation.site}: ${subject}`, { body: text, tag: this.model.invitation.cid });
      shown.onclick = () => { window.focus(); shown.close(); };
    } catch { /* some phones have notifications for installed pages only */ }
  }

  title() {
    const { view, invitation } = this.model;
    const who = names(view).title;
    const mark = this.unread ? `(${this.unread}) ` : view?.help ? "● " : "";
    document.title = `${mark}${who} – ${invitation.site} chat`;
  }

  /** Two soft tones, made here: nothing is fetched. */
  #ring() {
    if (navigator.userActivation?.hasBeenActive === false) return; // a browser would refuse
    this.audio ??= new AudioContext();
    const { audio } = this;
    for (const [at, tone] of /** @type {[number, number][]} */ ([[0, 660], [0.14, 880]])) {
      const wave = audio.createOscillator(), volume = audio.createGain(), start = audio.currentTime + at;
      wave.frequency.value = tone;
      volume.gain.setValueAtTime(0.08, start);
      volume.gain.exponentialRampToValueAtTime(0.001, start + 0.25);
      wave.connect(volume).connect(audio.destination);
      wave.start(start);
      wave.stop(start + 0.26);
    }
  }
}
