// What a page has to say: notes that stay until they are closed, and news that go by.

const NEWS_FOR = 6000;
const note = document.querySelector("#media-note");
const news = document.querySelector("#news");

note.querySelector("button").addEventListener("click", () => showNote(""));

/** Something to read and perhaps to do; "" when it is over. */
export function showNote(text) {
  note.querySelector("p").textContent = text;
  note.hidden = text === "";
}

/** Something that happened, for those who do not see it. */
export function tellNews(text) {
  const line = document.createElement("p");
  line.textContent = text;
  news.append(line);
  setTimeout(() => line.remove(), NEWS_FOR);
}
