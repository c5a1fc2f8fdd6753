"use strict";
const review = JSON.parse(document.getElementById("review").textContent);
const byName = (name) => document.getElementById(name);
const [shown, words] = [review.shown, review.words];
const known = new Set(shown.map((one) => one.id));
const place = `calibrant-review-${review.page}`;
const state = { judgements: new Map(), at: 0, reviewer: "", kept: true, saved: true };

// A page from a file, or in a private window, may not be allowed to keep anything.
function restore() {
  try {
    const stored = JSON.parse(localStorage.getItem(place) || "{}");
    const judged = (stored.judgements || []).filter(([id, word]) => known.has(id) && word in words);
    state.judgements = new Map(judged);
    state.reviewer = String(stored.reviewer || "");
    const first = shown.findIndex((one) => !state.judgements.has(one.id));
    state.at = first < 0 ? shown.length : first;
    state.saved = state.judgements.size === 0;
  } catch {
    state.kept = false;
  }
}

function keep() {
  try {
    localStorage.setItem(place, JSON.stringify({ judgements: [...state.judgements], reviewer: state.reviewer }));
    state.kept = true;
  } catch {
    state.kept = false;
  }
}

function show() {
  const one = shown[state.at];
  byName("judging").hidden = !one;
  byName("done").hidden = Boolean(one);
  byName("count").textContent = one ? `Image ${state.at + 1} of ${shown.length}` : `${shown.length} of ${shown.length}`;
  byName("progress").value = state.judgements.size / shown.length;
  byName("back").disabled = state.at === 0;
  byName("forward").disabled = !one || !state.judgements.has(one.id);
  byName("save").textContent = `Save ${state.judgements.size} judgement${state.judgements.size === 1 ? "" : "s"}`;
  byName("save").disabled = state.judgements.size === 0;
  if (one) picture(one);
}

function picture(one) {
  byName("target").textContent = one.target;
  byName("image").src = one.image;
  byName("image").className = one.small ? "small" : "";
  byName("image").alt = `Image with: ${one.target}`;
  byName("map").src = one.map;
  byName("map").alt = "The same image, grey, with the highlight over it";
  for (const button of document.querySelectorAll("[data-word]")) {
    button.setAttribute("aria-pressed", state.judgements.get(one.id) === Number(button.dataset.word));
  }
}

function judge(word) {
  const one = shown[state.at];
  if (!one) return;
  state.judgements.set(one.id, word);
  state.at += 1;
  state.saved = false;
  keep();
  say(state.kept ? "" : "This browser keeps nothing: save before you close the page.");
  show();
}

function move(step) {
  const one = shown[state.at];
  if (step > 0 && !(one && state.judgements.has(one.id))) return;
  state.at = Math.max(0, state.at + step);
  show();
}

function say(text) {
  byName("note").textContent = text;
}

const field = (text) => (/[",\r\n]|^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

function table(reviewer) {
  const judged = shown.filter((one) => state.judgements.has(one.id));
  const rows = judged.map((one) => [one.id, words[state.judgements.get(one.id)], reviewer, review.settings]);
  return [review.columns, ...rows].map((row) => row.map(field).join(",") + "\r\n").join("");
}

function save(event) {
  event.preventDefault();
  const reviewer = byName("reviewer").value.trim();
  if (!reviewer) {
    say("Write your name first, so that reviewers can be told apart.");
    byName("reviewer").focus();
    return;
  }
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([table(reviewer)], { type: "text/csv" }));
  link.download = `judgements-${reviewer.replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  state.saved = true;
  say(`Saved as ${link.download}, where your browser puts downloads.`);
}

function restart() {
  if (!confirm("Forget all judgements on this page? A saved file stays.")) return;
  state.judgements.clear();
  state.at = 0;
  state.saved = true;
  keep();
  say("");
  show();
}

document.addEventListener("keydown", (event) => {
  // a key that is held down must not judge a row of images, nor one that is typed into the name
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === "INPUT") return;
  if (["1", "2", "3"].includes(event.key)) judge(Number(event.key) - 1);
  else if (event.key === "ArrowLeft" || event.key === "Backspace") move(-1);
  else if (event.key === "ArrowRight") move(1);
  else return;
  event.preventDefault();
});
for (const button of document.querySelectorAll("[data-word]")) {
  button.addEventListener("click", () => judge(Number(button.dataset.word)));
}
byName("back").addEventListener("click", () => move(-1));
byName("forward").addEventListener("click", () => move(1));
byName("saving").addEventListener("submit", save);
byName("restart").addEventListener("click", restart);
byName("reviewer").addEventListener("input", () => {
  state.reviewer = byName("reviewer").value;
  keep();
});
window.addEventListener("beforeunload", (event) => {
  if (!state.kept && !state.saved) event.preventDefault();
});

restore();
byName("reviewer").value = state.reviewer;
byName("how").open = state.judgements.size === 0;
show();
