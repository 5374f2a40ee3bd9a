// Looks every three seconds whether what is shown is still so, by a word that says nothing of it, and says when it cannot.
const shown = document.querySelector("[data-fresh]");
const lost = document.getElementById("lost");
const news = document.getElementById("news");
let known = shown.dataset.fresh;
let failed = 0;

async function look() {
  try {
    const answer = await fetch(`${location.pathname}/state`, { cache: "no-store" });
    if (!answer.ok) throw answer.status;
    const now = await answer.text();
    failed = 0;
    lost.hidden = true;
    if (now !== known) await (shown.dataset.swap === undefined ? say() : swap(now));
  } catch {
    failed += 1;
    if (failed > 2) lost.hidden = false;
  }
}

function say() {
  news.hidden = false;
}

async function swap(now) {
  const text = await (await fetch(location.pathname, { cache: "no-store" })).text();
  const newer = new DOMParser().parseFromString(text, "text/html").querySelector("[data-fresh]");
  const at = document.activeElement?.dataset?.key;
  shown.innerHTML = newer.innerHTML;
  known = newer.dataset.fresh;
  shown.querySelector(`[data-key="${CSS.escape(at ?? "")}"]`)?.focus();
  news.hidden = false;
  news.textContent = "";
  news.textContent = news.dataset.words;
}

setInterval(look, 3000);
