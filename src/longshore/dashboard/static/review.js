/* The page of a document: a field and its place on the page light up together, keys to review by. */
"use strict";
(() => {
  const root = document.querySelector("[data-document]");
  if (!root) return;
  const form = root.querySelector("[data-review]");
  const boxOf = (index) => root.querySelector(`[data-box="${index}"]`);
  const fieldOf = (index) => root.querySelector(`[data-field="${index}"]`);
  const inView = (element) => {
    const place = element.getBoundingClientRect();
    return place.top >= 0 && place.bottom <= window.innerHeight;
  };

  // A field and its box light up together, whichever is looked at.
  const light = (index) => {
    for (const lit of root.querySelectorAll(".lit")) lit.classList.remove("lit");
    if (index === undefined) return;
    const box = boxOf(index);
    const field = fieldOf(index);
    if (box) { box.classList.add("lit"); if (!inView(box)) box.scrollIntoView({ block: "center", inline: "nearest" }); }
    if (field) field.classList.add("lit");
  };
  const indexOf = (target) => {
    const place = target instanceof Element ? target.closest("[data-box], [data-field]") : null;
    return place ? place.dataset.box ?? place.dataset.field : undefined;
  };
  root.addEventListener("focusin", (event) => light(indexOf(event.target)));
  const enter = (index) => {
    const input = fieldOf(index)?.querySelector("input, textarea, output");
    if (!input) return;
    input.focus();
    if (input.select) input.select();
  };
  root.addEventListener("click", (event) => {
    const box = event.target instanceof Element ? event.target.closest("[data-box]") : null;
    if (box) enter(box.dataset.box);
  });
  root.addEventListener("keydown", (event) => {
    const box = event.target instanceof Element ? event.target.closest("[data-box]") : null;
    if (box && (event.key === "Enter" || event.key === " ")) { event.preventDefault(); enter(box.dataset.box); }
  });

  // Ctrl+Enter accepts from anywhere on the page.
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || document.querySelector("dialog[open]")) return;
    const accept = form?.querySelector("[data-accept]");
    // A click, since htmx goes by that to know which button it was.
    if (accept) { event.preventDefault(); accept.click(); }
  });

  // A page that cannot be drawn says why.
  const tell = (picture) => {
    const place = picture.closest("[data-sheet]").querySelector("[data-picture-problem]");
    const address = picture.getAttribute("href") || picture.getAttribute("src");
    fetch(address, { headers: { "HX-Request": "true" } })
      .then((answer) => answer.json())
      .then((told) => { place.textContent = told.detail; place.hidden = false; })
      .catch(() => { place.textContent = "The page cannot be shown."; place.hidden = false; });
  };
  for (const picture of root.querySelectorAll("[data-picture]")) {
    picture.addEventListener("error", () => tell(picture));
    if (picture.dataset.href) picture.setAttribute("href", picture.dataset.href);
    // It may have failed before this script ran.
    if (picture instanceof HTMLImageElement && picture.complete && !picture.naturalWidth) tell(picture);
  }
  const first = root.querySelector(".review-field.doubtful input, .review-field.doubtful textarea");
  if (first) first.focus({ preventScroll: true });
})();
