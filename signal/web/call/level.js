// How loud a track of sound is, as a number to show.

const EVERY = 80;
// Speech at an ordinary distance has about this loudness (root mean square of full scale).
const SPEECH = 0.12;

/** Tells `show` the loudness of `track`, 0 to 1, some times a second, until what it returns is called. */
export function follow(track, show) {
  if (!track || !globalThis.AudioContext) return () => {};
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 1024 });
  new MediaStreamAudioSourceNode(context, { mediaStream: new MediaStream([track]) }).connect(analyser);
  // Some browsers let a page hear only after somebody has touched it.
  const wake = () => context.resume();
  for (const type of ["pointerdown", "keydown"]) addEventListener(type, wake);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
    show(Math.min(1, Math.sqrt(Math.sqrt(power) / SPEECH)));
  }, EVERY);
  return () => {
    clearInterval(timer);
    for (const type of ["pointerdown", "keydown"]) removeEventListener(type, wake);
    context.close();
    show(0);
  };
}
