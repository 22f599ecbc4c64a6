/** Text made safe for HTML. */
export const escapeHtml = (text: string): string =>
  text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const style = `
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --text: #1b2230; --muted: #667085; --line: #e1e5ec;
  --accent: #2f6fed; --accent-soft: #a9c4fb; --second: #d9822b; --good: #1f9d63; --bad: #d64545; --cell: #2f6fed; }
@media (prefers-color-scheme: dark) { :root { --page: #0f141c; --card: #171e29; --text: #e8ecf3; --muted: #93a0b4; --line: #2a3444;
  --accent: #6ea0ff; --accent-soft: #33508c; --second: #f0a35a; --good: #4cc38a; --bad: #ff7b72; --cell: #6ea0ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 15px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 40px 20px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 6px; letter-spacing: -0.02em; }
h2 { font-size: 18px; margin: 0 0 4px; letter-spacing: -0.01em; }
p { margin: 0 0 14px; max-width: 76ch; } .muted { color: var(--muted); }
section { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 22px 24px; margin-top: 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(180px, 1fr)); gap: 14px; margin-top: 22px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 16px 18px; }
.tile b { display: block; font-size: 27px; line-height: 1.15; letter-spacing: -0.02em; font-variant-numeric: tabular-nums; }
.tile span { color: var(--muted); font-size: 13px; }
.two { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(440px, 100%), 1fr)); gap: 18px; }
.two > section { margin-top: 0; } .grid { margin-top: 18px; }
svg { display: block; max-width: 100%; height: auto; } svg text { font-family: inherit; }
.masks { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 18px; margin-top: 12px; }
.masks figure { margin: 0; min-width: 0; } .masks figcaption { font-size: 13px; margin-bottom: 6px; overflow-wrap: anywhere; }
.masks div { display: flex; gap: 8px; } .masks svg { flex: 1; min-width: 0; background: var(--page); border: 1px solid var(--line); border-radius: 4px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 6px 10px; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child, td.left, th.left { text-align: left; } th { color: var(--muted); font-weight: 500; white-space: normal; overflow-wrap: anywhere; } tr:last-child td { border-bottom: 0; }
td:first-child { max-width: 24em; overflow: hidden; text-overflow: ellipsis; }
td:last-child { white-space: normal; min-width: 7em; } .scroll { overflow-x: auto; } .ok { color: var(--good); } .no { color: var(--bad); }
code, pre { font: 13px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
pre { background: var(--page); border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; overflow-x: auto; margin: 0; }
`;

/** A complete, self-contained HTML document that follows the reader's light or dark theme. */
export const page = (title: string, body: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body><main>
${body}
</main></body>
</html>
`;

/** A titled card; `note` says in one sentence how to read it. */
export const section = (title: string, note: string, content: string): string =>
  `<section><h2>${escapeHtml(title)}</h2><p class="muted">${escapeHtml(note)}</p>${content}</section>`;

/** A table of texts that are already HTML. */
export const table = (header: readonly string[], rows: readonly (readonly string[])[]): string =>
  `<div class="scroll"><table><thead><tr>${header.map((cell) => `<th>${cell}</th>`).join('')}</tr></thead><tbody>${rows
    .map((row) => `<tr>${row.map((cell) => `<td>${cell}</td>`).join('')}</tr>`)
    .join('')}</tbody></table></div>`;

/** One headline number. */
export const tile = (value: string, caption: string): string =>
  `<div class="tile"><b>${escapeHtml(value)}</b><span>${escapeHtml(caption)}</span></div>`;
