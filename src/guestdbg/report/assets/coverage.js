"use strict";
// The section about coverage. `page` has what it shares with the rest: see the end of page.js.
const showCoverage = (coverage, page) => {
  const { byId, element, format, baseName, clickable, head, hitsOfLine, showHits } = page;
  const percent = (part, whole) => `${whole ? Math.floor((100 * part) / whole) : 0} %`;
  const bar = (part, whole) => {
    const made = element("span", [], { className: "bar" });
    made.style.width = `${whole ? (6 * part) / whole : 0}rem`;
    return made;
  };
  const number = (contents) => element("td", contents, { className: "number" });
  const code = (contents, title) => element("td", contents, { className: "code", title: title ?? "" });
  const times = (count) => (coverage.counted ? format(count) : Number(count) ? "\u2713" : "\u2717");

  const facts = [
    `${format(coverage.executedLines)} of ${format(coverage.lines)} lines with code were executed (${percent(coverage.executedLines, coverage.lines)})`,
    `${format(coverage.executedFunctions)} of ${format(coverage.allFunctions)} functions`,
  ];
  const notes = [];
  if (!coverage.lines) notes.push("no line numbers are known of this guest");
  if (!coverage.complete) notes.push("more code was executed than there was room for");
  if (coverage.moreFiles) notes.push(`${format(coverage.moreFiles)} more files have no room on this page`);
  byId("coverage-total").textContent = `${facts.join(", ")}.`;
  byId("coverage-notes").append(...notes.map((note) => element("li", note)));

  // ---- one file -------------------------------------------------------------------------------
  const files = new Map(coverage.files.map((each) => [each[0], each]));
  const showFile = (name, wanted) => {
    const [file, , counts, lines] = files.get(name);
    const byLine = new Map(counts);
    const all = lines.length ? lines : counts.map(([line]) => [line, "(its text was not given: --source)"]);
    let previous = null, target = null;
    const rows = [];
    for (const [line, contents] of all) {
      if (previous !== null && line > previous + 1) rows.push(element("tr", element("td", "\u22ee", { colSpan: 4 })));
      previous = line;
      const count = byLine.get(line);
      const hits = hitsOfLine(file, line);
      const row = element("tr", [
        number(count === undefined ? "" : times(count)),
        element("td", String(line), { className: "number quiet" }),
        element("td", contents),
        element("td", hits ? `${format(hits)} hit${hits === 1 ? "" : "s"}` : ""),
      ], { className: count === undefined ? "" : Number(count) ? "executed" : "missed" });
      if (hits) clickable(row, () => showHits(file, line)).classList.add("leads");
      if (wanted !== null && line <= wanted) target = row;
      rows.push(row);
    }
    byId("coverage-file").textContent = file;
    const table = element("table", element("tbody", rows));
    byId("coverage-source").replaceChildren(table);
    byId("coverage-source").hidden = false;
    byId("coverage-file").hidden = false;
    byId("coverage-file").scrollIntoView({ block: "nearest" });
    if (target) {
      byId("coverage-source").scrollTop = target.offsetTop - table.offsetTop;
      target.classList.add("wanted");
    }
  };

  // ---- the files and the functions ------------------------------------------------------------
  byId("coverage-files").append(
    head(["executed", true], ["of lines", true], ["", true], ["file"], [""]),
    element("tbody", coverage.files.map(([file, executed, counts]) => clickable(element("tr", [
      number(format(executed)),
      number(format(counts.length)),
      number(percent(executed, counts.length)),
      code(file),
      element("td", bar(executed, counts.length)),
    ]), () => showFile(file, null)))),
  );
  const which = {
    all: { label: "all", matches: () => true },
    executed: { label: "executed", matches: ([, , executed]) => executed > 0 },
    missed: { label: "never executed", matches: ([, , executed]) => !executed },
  };
  const showFunctions = () => {
    const { matches } = which[byId("coverage-which").value];
    const shown = coverage.functions.filter(matches);
    const rows = shown.map(([name, count, executed, size, file, line]) => {
      const row = element("tr", [
        number(times(count)),
        code(name),
        number(format(executed)),
        number(size ? percent(executed, size) : ""),
        code(file === null ? "" : `${baseName(file)}:${line}`, file),
      ]);
      return files.has(file) ? clickable(row, () => showFile(file, line)) : row;
    });
    byId("coverage-functions").replaceChildren(
      head([coverage.counted ? "entered" : "entered?", true], ["function"], ["instructions", true], ["", true], ["source"]),
      element("tbody", rows),
    );
    const all = shown.length === coverage.functions.length && coverage.allFunctions > shown.length;
    byId("coverage-shown").textContent = all ? `the first ${format(shown.length)}` : format(shown.length);
  };
  byId("coverage-which").append(...Object.entries(which).map(([value, { label }]) => element("option", label, { value })));
  byId("coverage-which").addEventListener("change", showFunctions);
  byId("coverage-section").hidden = false;
  showFunctions();
};
