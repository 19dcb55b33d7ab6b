/* What pages do beside htmx: live word of changes, dialogs, messages, keys, copying.
   Text from the server is only ever put in as text. */
"use strict";
(() => {
  const body = document.body;
  const mark = document.querySelector("[data-live-mark]");

  // Word of changes. A page that nobody sees does not listen.
  let source = null;
  let last = 0;
  let waiting = null;
  const say = (text) => { if (mark && mark.textContent !== text) mark.textContent = text; };
  const changed = () => {
    // Not more often than once a second, and never in the middle of a choice.
    const wait = Math.max(0, 1000 - (Date.now() - last));
    if (waiting) return;
    waiting = setTimeout(() => {
      waiting = null;
      last = Date.now();
      if (busy()) { changed(); return; }
      body.dispatchEvent(new CustomEvent("longshore:changed"));
    }, wait);
  };
  const busy = () => document.querySelector("dialog[open]") !== null || selecting();
  const selecting = () => {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && selection.toString().length > 0;
  };
  const listen = () => {
    if (!body.dataset.live || source || document.hidden) return;
    source = new EventSource(body.dataset.live);
    source.addEventListener("open", () => { say("live"); changed(); });
    source.addEventListener("changed", changed);
    source.addEventListener("beat", changed);
    source.addEventListener("over", () => location.reload());
    source.addEventListener("error", () => say("connecting"));
  };
  const rest = () => { if (source) { source.close(); source = null; say("paused"); } };
  document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));
  window.addEventListener("pagehide", rest);
  window.addEventListener("pageshow", listen);

  // Messages.
  const toasts = document.querySelector("[data-toasts]");
  const toast = (text, kind) => {
    const element = document.createElement("p");
    element.className = `toast ${kind}`;
    element.textContent = text;
    toasts.append(element);
    setTimeout(() => element.remove(), kind === "bad" ? 12000 : 6000);
  };
  const detail = (xhr) => {
    try { return JSON.parse(xhr.responseText).detail || xhr.statusText; } catch { return xhr.statusText || "The server did not answer."; }
  };
  const KEPT = "longshore-message";
  body.addEventListener("done", (event) => {
    const { message, to } = event.detail;
    const open = document.querySelector("dialog[open]");
    if (open) { open.close(); open.querySelector("form")?.reset(); }
    if (to) { sessionStorage.setItem(KEPT, message); location.assign(to); return; }
    toast(message, "good");
    body.dispatchEvent(new CustomEvent("longshore:changed"));
  });
  const kept = sessionStorage.getItem(KEPT);
  if (kept) { sessionStorage.removeItem(KEPT); toast(kept, "good"); }
  body.addEventListener("htmx:responseError", (event) => {
    const element = event.detail.elt;
    const place = element.closest("form")?.querySelector("[data-problem]");
    const text = detail(event.detail.xhr);
    if (place) { place.hidden = false; place.textContent = text; } else if (event.detail.requestConfig.verb !== "get") toast(text, "bad");
  });
  body.addEventListener("htmx:sendError", (event) => {
    if (event.detail.requestConfig.verb !== "get") toast("The server did not answer. Nothing is known of what it did; look before you repeat it.", "bad");
  });

  // Dialogs and other clicks.
  document.addEventListener("click", (event) => {
    const target = event.target instanceof Element ? event.target : null;
    if (!target) return;
    const opener = target.closest("[data-opens]");
    if (opener) {
      const dialog = document.getElementById(opener.dataset.opens);
      const place = dialog.querySelector("[data-problem]");
      if (place) place.hidden = true;
      dialog.showModal();
      return;
    }
    if (target.closest("[data-closes]")) { target.closest("dialog").close(); return; }
    const copier = target.closest("[data-copies]");
    if (copier) {
      const text = copier.parentElement.querySelector("pre").textContent;
      navigator.clipboard.writeText(text).then(() => toast("Copied.", "good"), () => toast("The browser does not let pages copy here. Select the text instead.", "bad"));
      return;
    }
    const menu = target.closest("[data-menu]");
    if (menu) {
      const open = body.classList.toggle("menu-open");
      menu.setAttribute("aria-expanded", String(open));
      return;
    }
    if (target.closest("[data-theme-button]")) {
      const root = document.documentElement;
      const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
      root.dataset.theme = dark ? "light" : "dark";
      localStorage.setItem("longshore-theme", root.dataset.theme);
      body.dispatchEvent(new CustomEvent("longshore:theme"));
    }
  });

  // Keys: / finds, g and a letter goes to a page.
  const typing = (element) => element instanceof HTMLElement && (element.isContentEditable || ["INPUT", "TEXTAREA", "SELECT"].includes(element.tagName));
  const PLACES = { o: "/", w: "/ui/works", b: "/ui/buckets", p: "/ui/pipelines", r: "/ui/runs", c: "/ui/corpora", f: "/ui/workflows", h: "/ui/hosts" };
  let going = false;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") { const find = document.querySelector("[data-find]"); if (find) { event.preventDefault(); find.focus(); } return; }
    if (going && PLACES[event.key]) { location.assign(PLACES[event.key]); return; }
    going = event.key === "g";
  });

  // The theme that was chosen before; without a choice the system's counts.
  const chosen = localStorage.getItem("longshore-theme");
  if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;

  // What is changed in place keeps what a person opened or ticked, and its charts.
  if (window.Idiomorph) {
    // What is being typed stays; a button that has the focus may well become another one.
    body.addEventListener("htmx:beforeSwap", () => { Idiomorph.defaults.ignoreActiveValue = typing(document.activeElement); });
    Idiomorph.defaults.callbacks.beforeNodeMorphed = (old, fresh) => {
      if (!(old instanceof Element) || !(fresh instanceof Element)) return true;
      if (old.dataset.chart !== undefined && fresh.dataset.chart !== undefined) {
        if (old.dataset.chart !== fresh.dataset.chart) {
          old.dataset.chart = fresh.dataset.chart;
          old.dispatchEvent(new CustomEvent("longshore:chart", { bubbles: true }));
        }
        return false;
      }
      // What was asked for before a dialog was opened must not shut it.
      if (old instanceof HTMLDialogElement && old.open) return false;
      if (old.hasAttribute("data-keep")) return false;
      if (old instanceof HTMLDetailsElement && old.open) fresh.setAttribute("open", "");
      if (old instanceof HTMLInputElement && old.type === "checkbox" && old.checked) fresh.setAttribute("checked", "");
      return true;
    };
  }
  listen();
})();
