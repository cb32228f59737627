/** @type {AudioContext | null} */
let audio = null;

/** Browsers let a page sound only after a gesture: call this in one. */
export function allow() {
  if (navigator.userActivation && !navigator.userActivation.hasBeenActive) return;
  audio ??= typeof AudioContext === "function" ? new AudioContext() : null;
  if (audio?.state === "suspended") audio.resume().catch(() => {});
}

/** Two soft notes. */
export function chime() {
  if (audio?.state !== "running") return;
  const begin = audio.currentTime;
  for (const [at, pitch] of /** @type {const} */ ([[0, 660], [0.09, 880]])) {
    const note = audio.createOscillator();
    const volume = audio.createGain();
    note.frequency.value = pitch;
    volume.gain.setValueAtTime(0.0001, begin + at);
    volume.gain.exponentialRampToValueAtTime(0.05, begin + at + 0.015);
    volume.gain.exponentialRampToValueAtTime(0.0001, begin + at + 0.25);
    note.connect(volume).connect(audio.destination);
    note.start(begin + at);
    note.stop(begin + at + 0.3);
  }
}
