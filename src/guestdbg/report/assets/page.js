"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { hits, texts } = data;
  const count = hits.number ? hits.number.length : 0;
  const byId = (id) => document.getElementById(id);
  const text = (n) => (n === null || n === undefined ? null : texts[n]);
  const of = (name, i) => (hits[name] && hits[name].length ? hits[name][i] : null);
  const textOf = (name, i) => text(of(name, i));
  const format = (n) => (typeof n === "number" ? n.toLocaleString("en") : String(n));
  const hexadecimal = (n) => (typeof n === "number" && Number.isInteger(n) && n >= 65536 ? "0x" + n.toString(16) : format(n));
  const baseName = (file) => file.split("/").pop();
  const element = (kind, contents, options = {}) => {
    const made = Object.assign(document.createElement(kind), options);
    made.append(...[contents].flat().filter((each) => each !== null && each !== undefined));
    return made;
  };

  // Where a hit is on the axis: by instructions if all have them, else by its number.
  const timed = count > 0 && hits.time && hits.time.length && hits.time.every((t) => t !== null);
  const when = new Float64Array(count);
  for (let i = 0; i < count; i++) when[i] = timed ? Number(hits.time[i]) : i;
  const first = count ? when.reduce((a, b) => Math.min(a, b)) : 0;
  const last = count ? when.reduce((a, b) => Math.max(a, b)) : 1;
  let range = [first, last];

  const location = (i) => {
    const name = textOf("function", i);
    if (name === null) return textOf("pc", i);
    const offset = of("offset", i);
    return offset ? `${name}+0x${offset.toString(16)}` : name;
  };
  const source = (i) => {
    const file = textOf("file", i);
    return file === null ? null : `${baseName(file)}:${of("line", i)}`;
  };
  const values = (i) => {
    const before = of("old", i), after = of("new", i);
    if (textOf("kind", i) !== "watch") return "";
    if (textOf("access", i) === "read") return before === null ? "" : hexadecimal(before);
    return `${before === null ? "?" : hexadecimal(before)} \u2192 ${after === null ? "not written" : hexadecimal(after)}`;
  };

  // ---- the head -------------------------------------------------------------------------------
  byId("title").textContent = data.title;
  const facts = data.total || !data.coverage ? [`${format(data.total)} hit${data.total === 1 ? "" : "s"}`] : [];
  if (data.end && data.end.instructions) facts.push(`${format(data.end.instructions)} instructions`);
  if (data.end && typeof data.end.seconds === "number") facts.push(`${data.end.seconds} s`);
  byId("end").textContent = [data.end ? data.end.text : null, facts.join(", ")].filter(Boolean).join(": ");
  const notes = [...data.events];
  if (data.incomplete) notes.unshift(data.incomplete);
  if (!data.end && !data.incomplete && (data.total || !data.coverage)) notes.unshift("how the run ended is not known");
  if (count < data.total) notes.unshift(`the timeline and the list have the first ${format(count)} hits; the counts are of all`);
  if (data.end) {
    for (const [point, pointHits] of data.end.points) {
      if (!pointHits) notes.push(`${point} was never hit`);
    }
  }
  byId("notes").append(...notes.map((note) => element("li", note)));

  // ---- what is shown --------------------------------------------------------------------------
  let filter = null; // { text, matches(i) }
  let selected = -1;
  let page = 0;
  const PAGE = 50;
  let shown = [];

  const lanesBy = {
    function: { label: "by function", name: (i) => textOf("function", i) ?? textOf("pc", i) },
    vCPU: { label: "by vCPU", name: (i) => `vCPU ${of("vcpu", i)}` },
    point: { label: "by point", name: (i) => textOf("point", i) },
    task: { label: "by task", name: (i) => textOf("task", i) ?? "no task" },
  };
  const colour = (n) => getComputedStyle(document.documentElement).getPropertyValue(`--c${n % 8}`).trim();
  const grouped = (name, among) => {
    const groups = new Map();
    for (const i of among) {
      const key = name(i);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(i);
    }
    return groups;
  };
  const everything = Array.from({ length: count }, (_, i) => i);

  const scaled = (canvas) => {
    const ratio = window.devicePixelRatio || 1;
    const { width, height } = canvas.getBoundingClientRect();
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, width, height);
    return { pen, width, height };
  };
  const x = (i, width) => ((when[i] - range[0]) / (range[1] - range[0] || 1)) * (width - 4) + 2;
  const inRange = (i) => when[i] >= range[0] && when[i] <= range[1];

  // A click goes to the nearest hit; a drag shows a part of the run.
  const interactive = (canvas, members) => {
    let from = null;
    const place = (event) => event.clientX - canvas.getBoundingClientRect().left;
    canvas.addEventListener("pointerdown", (event) => { from = place(event); canvas.setPointerCapture(event.pointerId); });
    canvas.addEventListener("pointercancel", () => { from = null; });
    canvas.addEventListener("pointerup", (event) => {
      if (from === null) return;
      const to = place(event), width = canvas.getBoundingClientRect().width;
      const at = (pixel) => range[0] + ((Math.min(Math.max(pixel, 2), width - 2) - 2) / (width - 4)) * (range[1] - range[0]);
      if (Math.abs(to - from) > 6 && event.pointerType !== "touch") {
        const part = [at(Math.min(from, to)), at(Math.max(from, to))];
        if (part[1] > part[0]) range = part;
        draw();
      } else {
        let best = -1;
        for (const i of members) {
          if (inRange(i) && (best < 0 || Math.abs(x(i, width) - to) < Math.abs(x(best, width) - to))) best = i;
        }
        if (best >= 0) show(best);
      }
      from = null;
    });
    canvas.addEventListener("dblclick", () => { range = [first, last]; draw(); });
  };

  const MOST_LANES = 24;
  let lanes = [];
  const makeLanes = () => {
    const by = lanesBy[byId("lanes").value];
    const groups = [...grouped(by.name, everything)].sort((a, b) => b[1].length - a[1].length);
    const most = groups.slice(0, MOST_LANES);
    if (groups.length > MOST_LANES) most.push([`${groups.length - MOST_LANES} others`, groups.slice(MOST_LANES).flatMap((g) => g[1])]);
    const chart = byId("timeline");
    chart.replaceChildren();
    lanes = most.map(([name, members], n) => {
      const canvas = element("canvas", [], { role: "img" });
      canvas.setAttribute("aria-label", `${name}: ${members.length} hits`);
      const button = element("button", name, { type: "button", className: "name", title: `${name}: ${format(members.length)} hits` });
      button.addEventListener("click", () => setFilter({ text: `${by.label} ${name}`, members: new Set(members) }));
      chart.append(button, canvas);
      interactive(canvas, members);
      return { canvas, members, n };
    });
  };
  const drawLanes = () => {
    for (const { canvas, members, n } of lanes) {
      const { pen, width, height } = scaled(canvas);
      const columns = new Uint32Array(Math.max(1, Math.ceil(width)));
      let most = 1;
      for (const i of members) {
        if (!inRange(i)) continue;
        const column = Math.min(columns.length - 1, Math.floor(x(i, width)));
        columns[column] += 1;
        most = Math.max(most, columns[column]);
      }
      pen.fillStyle = colour(n);
      columns.forEach((number, column) => {
        if (!number) return;
        const tall = (height - 4) * (0.35 + 0.65 * (Math.log(number) / Math.log(most + 1)));
        pen.fillRect(column, height - 1 - tall, 1.6, tall);
      });
      if (selected >= 0 && inRange(selected)) {
        pen.fillStyle = colour(1);
        pen.fillRect(x(selected, width) - 0.5, 0, 1.5, height);
      }
    }
    const unit = timed ? "instructions of the hit's vCPU" : "hits (the provider does not count instructions)";
    byId("axis").textContent = `${format(Math.round(range[0]))} to ${format(Math.round(range[1]))} ${unit}`;
    const part = range[0] > first || range[1] < last;
    byId("whole").disabled = !part;
    byId("range").textContent = part ? `${format(everything.filter(inRange).length)} hits in this part` : "";
  };

  // ---- values over time -----------------------------------------------------------------------
  const MOST_PLOTS = 12;
  const numeric = (value) => (value === null || value === "" || Number.isNaN(Number(value)) ? null : Number(value));
  const plots = [];
  const makeValues = () => {
    const series = [...grouped((i) => textOf("element", i) ?? textOf("point", i), everything.filter((i) => textOf("kind", i) === "watch"))]
      .map(([name, members]) => [name, members.filter((i) => numeric(of("new", i) ?? of("old", i)) !== null)])
      .filter(([, members]) => members.length)
      .sort((a, b) => b[1].length - a[1].length);
    byId("values-section").hidden = !series.length;
    for (const [name, members] of series.slice(0, MOST_PLOTS)) {
      const canvas = element("canvas", [], { role: "img" });
      canvas.setAttribute("aria-label", `${name} over time`);
      const caption = element("span", "", { className: "quiet" });
      byId("values").append(element("figure", [element("figcaption", [element("code", name), caption]), canvas]));
      interactive(canvas, members);
      plots.push({ canvas, members, caption, n: plots.length });
    }
    if (series.length > MOST_PLOTS) byId("values").append(element("p", `${series.length - MOST_PLOTS} more are in the list`, { className: "quiet" }));
  };
  const drawValues = () => {
    for (const { canvas, members, caption, n } of plots) {
      const { pen, width, height } = scaled(canvas);
      let low = Infinity, high = -Infinity;
      const points = [];
      for (const i of members) {
        if (!inRange(i)) continue;
        const old = numeric(of("old", i)), now = numeric(of("new", i) ?? of("old", i));
        if (!points.length && old !== null) points.push([0, old]);
        points.push([x(i, width), now]);
      }
      for (const [, value] of points) {
        if (!Number.isFinite(value)) continue;
        low = Math.min(low, value);
        high = Math.max(high, value);
      }
      caption.textContent = low <= high ? (low === high ? hexadecimal(low) : `${hexadecimal(low)} to ${hexadecimal(high)}`) : "nothing here";
      const y = (value) => height - 6 - ((Math.min(Math.max(value, low), high) - low) / (high - low || 1)) * (height - 12);
      pen.strokeStyle = colour(n);
      pen.lineWidth = 1.5;
      pen.beginPath();
      points.forEach(([at, value], k) => {
        if (!k) { pen.moveTo(at, y(value)); return; }
        pen.lineTo(at, y(points[k - 1][1]));
        pen.lineTo(at, y(value));
      });
      if (points.length) pen.lineTo(width, y(points[points.length - 1][1]));
      pen.stroke();
      if (selected >= 0 && inRange(selected)) {
        pen.fillStyle = colour(1);
        pen.fillRect(x(selected, width) - 0.5, 0, 1.5, height);
      }
    }
  };

  // ---- who did it, and source lines -----------------------------------------------------------
  const clickable = (row, action) => {
    row.tabIndex = 0;
    row.addEventListener("click", action);
    row.addEventListener("keydown", (event) => { if (event.key === "Enter") action(); });
    return row;
  };
  const head = (...names) => element("thead", element("tr", names.map(([name, number]) => element("th", name, { className: number ? "number" : "" }))));
  const matching = (what) => new Set(everything.filter(what));
  const makePlaces = () => {
    byId("places-section").hidden = !data.places.length;
    const rows = data.places.map(([name, file, line, point, access, hitCount]) => {
      const bar = element("span", [], { className: "bar" });
      bar.style.width = `${(8 * hitCount) / data.places[0][5]}rem`;
      const row = element("tr", [
        element("td", format(hitCount), { className: "number" }),
        element("td", bar),
        element("td", access ?? "break"),
        element("td", point, { className: "code" }),
        element("td", name ?? "no function", { className: "code" }),
        element("td", file === null ? "" : `${baseName(file)}:${line}`, { className: "code", title: file ?? "" }),
      ]);
      return clickable(row, () => setFilter({
        text: `${access ?? "break"} ${point} in ${name ?? "no function"}${file === null ? "" : ` (${baseName(file)}:${line})`}`,
        members: matching((i) => textOf("function", i) === name && textOf("file", i) === file && of("line", i) === line
          && textOf("point", i) === point && textOf("access", i) === access),
      }));
    });
    byId("places").append(head(["hits", true], [""], ["access"], ["point"], ["function"], ["source"]), element("tbody", rows));
  };
  const makeSources = () => {
    byId("sources-section").hidden = !data.sources.length;
    for (const [file, counts, lines] of data.sources) {
      const byLine = new Map(counts);
      const all = lines.length ? lines : counts.map(([line]) => [line, "(its text was not given: --source)"]);
      let previous = null;
      const rows = [];
      for (const [line, contents] of all) {
        if (previous !== null && line > previous + 1) rows.push(element("tr", element("td", "\u22ee", { colSpan: 3 })));
        previous = line;
        const number = byLine.get(line);
        const row = element("tr", [
          element("td", number ? format(number) : "", { className: "number" }),
          element("td", String(line), { className: "number quiet" }),
          element("td", contents),
        ], { className: number ? "hit" : "" });
        rows.push(number ? clickable(row, () => setFilter({
          text: `${baseName(file)}:${line}`,
          members: matching((i) => textOf("file", i) === file && of("line", i) === line),
        })) : row);
      }
      byId("sources").append(element("h3", element("code", file)), element("div", element("table", element("tbody", rows)), { className: "source" }));
    }
  };

  // ---- the list and the details ---------------------------------------------------------------
  const setFilter = (chosen) => {
    filter = chosen;
    page = 0;
    makeList();
    if (filter) byId("list-section").scrollIntoView({ behavior: "smooth" });
  };
  const makeList = () => {
    shown = filter ? everything.filter((i) => filter.members.has(i)) : everything;
    byId("list-section").hidden = !count;
    byId("filter").textContent = filter ? filter.text : "";
    byId("no-filter").hidden = !filter;
    const pages = Math.max(1, Math.ceil(shown.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    byId("previous").disabled = page === 0;
    byId("next").disabled = page >= pages - 1;
    const start = page * PAGE;
    byId("shown").textContent = shown.length
      ? `${format(start + 1)} to ${format(Math.min(start + PAGE, shown.length))} of ${format(shown.length)}`
      : "none of the hits that are on this page";
    const rows = shown.slice(start, start + PAGE).map((i) => {
      const row = element("tr", [
        element("td", format(of("number", i)), { className: "number" }),
        element("td", timed ? format(of("time", i)) : "", { className: "number" }),
        element("td", textOf("access", i) ?? "break"),
        element("td", textOf("element", i) ?? textOf("point", i), { className: "code" }),
        element("td", values(i), { className: "code" }),
        element("td", location(i), { className: "code" }),
        element("td", source(i) ?? "", { className: "code" }),
      ]);
      return clickable(row, () => show(i));
    });
    byId("list").replaceChildren(
      head(["#", true], [timed ? "instructions" : "", true], ["access"], ["what"], ["value"], ["where"], ["source"]),
      element("tbody", rows),
    );
  };
  const show = (i) => {
    selected = i;
    byId("detail").hidden = false;
    byId("detail-title").textContent = `#${of("number", i)} ${textOf("access", i) ?? "break"} ${textOf("element", i) ?? textOf("point", i)}`;
    const fields = [
      ["value", values(i)],
      ["where", location(i)],
      ["source", textOf("file", i) === null ? null : `${textOf("file", i)}:${of("line", i)}`],
      ["pc", textOf("pc", i)],
      ["instruction", textOf("instruction", i)],
      ["address", textOf("address", i) === null ? null : `${textOf("address", i)}, ${of("size", i)} bytes`],
      ["point", textOf("point", i)],
      ["vCPU", of("vcpu", i)],
      ["instructions", of("time", i) === null ? null : format(of("time", i))],
      ["device", textOf("device", i)],
      ["task", textOf("task", i)],
      ["context", textOf("context", i)],
    ].filter(([, value]) => value !== null && value !== "");
    byId("detail-fields").replaceChildren(...fields.flatMap(([name, value]) => [element("dt", name), element("dd", String(value))]));
    const frames = textOf("backtrace", i) === null ? [] : JSON.parse(textOf("backtrace", i));
    byId("detail-frames").replaceChildren(...frames.map(([name, file, line]) =>
      element("li", text(file) === null ? text(name) : `${text(name)} (${baseName(text(file))}:${line})`)));
    const at = shown.indexOf(i);
    byId("before").disabled = at <= 0;
    byId("after").disabled = at < 0 || at >= shown.length - 1;
    drawLanes();
    drawValues();
  };
  const neighbour = (step) => {
    const i = shown[shown.indexOf(selected) + step];
    if (i !== undefined) show(i);
  };
  byId("close").addEventListener("click", () => { byId("detail").hidden = true; selected = -1; draw(); });
  byId("before").addEventListener("click", () => neighbour(-1));
  byId("after").addEventListener("click", () => neighbour(1));
  byId("no-filter").addEventListener("click", () => setFilter(null));
  byId("previous").addEventListener("click", () => { page -= 1; makeList(); });
  byId("next").addEventListener("click", () => { page += 1; makeList(); });
  byId("whole").addEventListener("click", () => { range = [first, last]; draw(); });

  // ---- all of it ------------------------------------------------------------------------------
  const draw = () => { drawLanes(); drawValues(); };
  byId("timeline-section").hidden = !count;
  const kinds = Object.entries(lanesBy).filter(([kind]) => kind !== "task" || (hits.task && hits.task.length));
  byId("lanes").append(...kinds.map(([kind, { label }]) => element("option", label, { value: kind })));
  byId("lanes").addEventListener("change", () => { makeLanes(); draw(); });
  makeLanes();
  makeValues();
  makePlaces();
  makeSources();
  if (data.coverage) {
    const hitsByLine = new Map(data.sources.map(([file, counts]) => [file, new Map(counts)]));
    showCoverage(data.coverage, {
      byId, element, format, baseName, clickable, head,
      hitsOfLine: (file, line) => hitsByLine.get(file)?.get(line) ?? 0,
      showHits: (file, line) => setFilter({
        text: `${baseName(file)}:${line}`,
        members: matching((i) => textOf("file", i) === file && of("line", i) === line),
      }),
    });
  }
  makeList();
  draw();
  window.addEventListener("resize", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
})();
