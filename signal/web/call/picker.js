// The dialog in which camera, microphone and speaker are chosen.

import { canChooseSpeaker } from "./devices.js";

const NONE = { audio: "No microphone", video: "No camera", speaker: "The system's own choice" };
const dialog = document.querySelector("#devices");
const selects = Object.fromEntries([...dialog.querySelectorAll("select")].map((select) => [select.name, select]));

/** Follows `devices`; opens with `button`. */
export function pick(devices, button) {
  selects.speaker.closest(".field").hidden = !canChooseSpeaker;
  dialog.querySelector("#devices-try").hidden = !globalThis.AudioContext;
  for (const [kind, select] of Object.entries(selects)) {
    select.addEventListener("change", () => devices.choose(kind, select.value));
  }
  const show = () => {
    for (const kind of Object.keys(selects)) fill(kind, devices);
  };
  for (const type of ["list", "track", "speaker"]) devices.addEventListener(type, show);
  button.addEventListener("click", () => {
    show();
    dialog.showModal();
  });
  dialog.querySelector("#devices-try").addEventListener("click", () => chime(devices.using("speaker")));
}

function fill(kind, devices) {
  const select = selects[kind];
  const list = devices.list[kind];
  const options = list.length > 0 ? list : [{ id: "", label: NONE[kind] }];
  select.replaceChildren(...options.map(({ id, label }) => new Option(label, id)));
  select.value = devices.using(kind);
  select.disabled = list.length === 0;
}

/** Two notes, over the speaker that is chosen. */
async function chime(speaker) {
  const context = new AudioContext();
  if (speaker) await context.setSinkId?.(speaker).catch(() => {});
  const volume = new GainNode(context, { gain: 0 });
  volume.connect(context.destination);
  const now = context.currentTime;
  for (const [i, frequency] of [523.25, 783.99].entries()) {
    const at = now + i * 0.22;
    const tone = new OscillatorNode(context, { frequency });
    tone.connect(volume);
    tone.start(at);
    tone.stop(at + 0.2);
  }
  volume.gain.setTargetAtTime(0.2, now, 0.02);
  volume.gain.setTargetAtTime(0, now + 0.4, 0.06);
  setTimeout(() => context.close(), 1000);
}
