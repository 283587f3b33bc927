// Drawn people before drawn walls, in place of a camera, and a page of text in place of a screen: for pictures of a call.

const looks = [
  { skin: '#fdcba4', hair: '#472616', shirt: '#1f5d4e', wall: ['#54706f', '#33474b'], long: true, window: 470, books: 80 },
  { skin: '#b0784f', hair: '#17100d', shirt: '#cf5a3b', wall: ['#e2cfae', '#b99a78'], window: 70, books: 440 },
  { skin: '#ffe3c2', hair: '#cf7a34', shirt: '#f3c75a', wall: ['#7486ad', '#4e5b7f'], bun: true, glasses: true, window: 470, books: 80 },
];

/** Gives `page` the camera of the person `who` (0 to 2), and `lines` to share. */
export async function drawn(page, who, lines) {
  await page.addInitScript(draw, { look: looks[who], phase: who, lines });
}

/** Runs in the page. */
function draw({ look, phase, lines }) {
  const canvas = (width, height) => Object.assign(document.createElement('canvas'), { width, height }).getContext('2d');
  const face = canvas(640, 360);
  const sheet = canvas(1280, 720);
  const oval = (x, y, width, height, colour) => {
    face.fillStyle = colour;
    face.beginPath();
    face.ellipse(x, y, width, height, 0, 0, 7);
    face.fill();
  };

  function drawRoom() {
    const wall = face.createLinearGradient(0, 0, 0, 360);
    look.wall.forEach((colour, i) => wall.addColorStop(i, colour));
    face.fillStyle = wall;
    face.fillRect(0, 0, 640, 360);
    face.fillStyle = 'rgb(255 250 220 / 50%)';
    face.fillRect(look.window, 40, 110, 140);
    face.fillStyle = 'rgb(0 0 0 / 12%)';
    face.fillRect(look.window, 106, 110, 5);
    face.fillRect(look.window + 53, 40, 5, 140);
    face.globalAlpha = 0.6;
    for (const [i, colour] of ['#c6553f', '#e9b94e', '#4f7d6b', '#6d5a91'].entries()) {
      face.fillStyle = colour;
      face.fillRect(look.books + i * 24, 70 + (i % 3) * 8, 19, 50 - (i % 3) * 8);
    }
    face.fillStyle = '#3a2a1c';
    face.fillRect(look.books - 14, 120, 125, 8);
    face.globalAlpha = 1;
  }

  function drawHead(time) {
    const x = 320 + Math.sin(time / 900 + phase) * 6;
    const y = 165 + Math.sin(time / 700 + phase * 2) * 3;
    face.fillStyle = look.hair;
    face.beginPath();
    if (look.long) face.roundRect(x - 92, y - 70, 184, 260, 90);
    face.fill();
    if (look.bun) oval(x, y - 118, 34, 34, look.hair);
    oval(x, 400, 150, 150, look.shirt);
    face.fillStyle = look.skin;
    face.fillRect(x - 28, y + 60, 56, 60);
    oval(x, y + 118, 40, 24, look.skin);
    oval(x, y, 72, 95, look.skin);
    face.fillStyle = look.hair;
    face.beginPath();
    face.ellipse(x, y - 28, 78, 82, 0, Math.PI, 0);
    face.bezierCurveTo(x + 60, y - 62, x - 60, y - 62, x - 78, y - 28);
    face.fill();
    for (const eye of [x - 28, x + 28]) {
      oval(eye, y - 5, 7, 7, '#241a17');
      face.lineWidth = 3;
      face.beginPath();
      if (look.glasses) face.arc(eye, y - 5, 20, 0, 7);
      face.stroke();
    }
    face.fillStyle = '#9c3430';
    face.beginPath();
    face.ellipse(x, y + 46, 26, 7 + Math.abs(Math.sin(time / 220 + phase)) * 6, 0, 0, Math.PI);
    face.fill();
  }

  function drawSheet() {
    sheet.fillStyle = '#fbfaf5';
    sheet.fillRect(0, 0, 1280, 720);
    sheet.fillStyle = '#173d33';
    for (const [i, line] of lines.entries()) {
      sheet.font = i === 0 ? '700 64px sans-serif' : '400 40px sans-serif';
      sheet.fillText(line, 100, i === 0 ? 140 : 160 + i * 84);
    }
    sheet.strokeStyle = '#d9503b';
    sheet.lineWidth = 10;
    sheet.beginPath();
    for (let x = 100; x < 1180; x += 8) sheet.lineTo(x, 620 + Math.sin(x / 40) * 34);
    sheet.stroke();
  }

  setInterval(() => {
    drawRoom();
    drawHead(performance.now());
    drawSheet();
  }, 80);
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async ({ audio, video }) => {
    const stream = audio ? await open({ audio }) : new MediaStream();
    if (video) stream.addTrack(face.canvas.captureStream(12).getVideoTracks()[0]);
    return stream;
  };
  navigator.mediaDevices.getDisplayMedia = async () => sheet.canvas.captureStream(5);
}
