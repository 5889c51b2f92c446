"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let doc = null;

  function colour() {
    for (const model of doc.all_models) {
      if (model.tags.includes("ink")) model.major_label_text_color = dark.matches ? "#9AA3AE" : "#6B7280";
    }
  }

  // As many times along an axis as there is room for: about 56 pixels each, and 44 for hours.
  function fit() {
    const plot = document.querySelector(".panel .plot");
    const width = Math.max(120, (plot ? plot.clientWidth : 900) - 112);
    for (const model of doc.all_models) {
      if (model.type === "DatetimeTicker") model.desired_num_ticks = Math.max(3, Math.min(12, Math.floor(width / 56)));
      if (model.type === "SingleIntervalTicker") {
        const hours = Number(byId("timeline").dataset.span) / 3600;
        model.tags = model.tags.length ? model.tags : [model.interval];
        let step = model.tags[0];
        while (hours / step > width / 44) step *= 2;
        model.interval = step;
      }
    }
  }

  function spell(seconds) {
    const whole = Math.max(0, Math.round(seconds));
    const pad = (n) => String(n).padStart(2, "0");
    return `${Math.floor(whole / 3600)}:${pad(Math.floor(whole / 60) % 60)}:${pad(whole % 60)}`;
  }

  function timeline(section) {
    const zero = Number(section.dataset.zero), span = Number(section.dataset.span);
    const range = doc.get_model_by_name("time");
    const shown = byId("window");
    const clock = (ms) => new Date(ms).toISOString().slice(span > 86400 ? 5 : 11, 19).replace("T", " ");
    const say = () => {
      shown.textContent = `${clock(range.start)} to ${clock(range.end)}, ` +
        `+${spell((range.start - zero) / 1000)} to +${spell((range.end - zero) / 1000)}`;
    };
    const show = (from, to) => {
      const start = Math.max(0, from), end = Math.min(span, Math.max(to, from + 60));
      range.setv({start: zero + start * 1000, end: zero + end * 1000});
    };
    range.change.connect(say);
    say();
    for (const button of document.querySelectorAll("button.zoom")) {
      button.addEventListener("click", () => {
        const from = Number(button.dataset.start), to = Number(button.dataset.end);
        const room = button.classList.contains("span") ? Math.max(600, (to - from) * 0.35) : 0;
        show(from - room, to + room);
        if (!section.contains(button)) section.scrollIntoView();
      });
    }
    for (const plot of section.querySelectorAll(".panel .plot")) {
      plot.addEventListener("dblclick", () => show(0, span));
    }
  }

  async function draw() {
    const data = byId("timeline-data");
    if (!data) return;
    const {docs, items} = JSON.parse(data.textContent);
    await Bokeh.embed.embed_items(docs, items);
    doc = Bokeh.documents[Bokeh.documents.length - 1];
    colour();
    fit();
    addEventListener("resize", fit);
    dark.addEventListener("change", colour);
    timeline(byId("timeline"));
  }

  function copy() {
    const button = byId("copy");
    if (!button) return;
    button.addEventListener("click", async () => {
      const code = byId("command");
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(code);
        button.textContent = "Selected: press Ctrl+C";
      }
    });
  }

  addEventListener("beforeprint", () => {
    for (const fold of document.querySelectorAll("details")) fold.open = true;
  });
  copy();
  draw();
})();
