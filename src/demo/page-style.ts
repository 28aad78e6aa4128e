/** The page's only style: system fonts, one accent, four colours for four kinds, in light and dark. */
export const PAGE_STYLE = `
:root {
  color-scheme: light dark;
  --paper: #f7f6f2; --card: #ffffff; --ink: #1c1d21; --soft: #5b5d66; --line: #e2e0d8; --row: #efede6;
  --accent: #2a5bd7; --markdown: #2a5bd7; --code: #0f8a6d; --text: #b8621b; --data: #8a4fbf; --none: #8b8d96;
  --good: #0b7a52; --fair: #8a6100; --hard: #b3352c; --hover: #f1f4fd; --del: #fbdcd6; --ins: #d3efdf;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #131419; --card: #1b1d24; --ink: #eceae4; --soft: #a3a6b1; --line: #2d303a; --row: #252831;
    --accent: #86a8ff; --markdown: #86a8ff; --code: #4fc9a4; --text: #eda35c; --data: #c495f2; --none: #7d808b;
    --good: #58cfa0; --fair: #e3b84e; --hard: #ff8d82; --hover: #222735; --del: #57291f; --ins: #164431;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; scroll-padding-top: 1rem; }
@media (prefers-reduced-motion: reduce) { html { scroll-behavior: auto; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif; }
main, header, footer { max-width: 1280px; margin: 0 auto; padding: 0 clamp(14px, 3vw, 32px); }
header { padding-top: clamp(24px, 5vw, 52px); }
h1 { margin: 0; font-size: clamp(1.6rem, 1.1rem + 2.2vw, 2.5rem); line-height: 1.15; letter-spacing: -0.02em; overflow-wrap: anywhere; }
.lead { margin: .5rem 0 0; color: var(--soft); }
h2 { margin: 0 0 .15rem; font-size: 1.15rem; letter-spacing: -0.01em; }
.note { margin: 0 0 1rem; color: var(--soft); font-size: .9rem; max-width: 75ch; }
section { margin-top: 1.5rem; padding: clamp(16px, 2.4vw, 26px); background: var(--card); border: 1px solid var(--line); border-radius: 14px; min-width: 0; }
a { color: inherit; text-decoration-color: var(--soft); text-underline-offset: .2em; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
.skip { position: absolute; left: -999px; } .skip:focus { left: 12px; top: 12px; background: var(--card); padding: .5rem 1rem; z-index: 9; }
.hush { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.cards { display: flex; flex-wrap: wrap; gap: 10px; margin: 1.5rem 0 0; }
.cards > div { flex: 1 1 138px; background: var(--card); border: 1px solid var(--line); border-radius: 14px; padding: 12px 15px 11px; }
.cards dt { color: var(--soft); font-size: .82rem; } .cards dd { margin: 0; font-size: 1.55rem; font-weight: 650; letter-spacing: -.02em; font-variant-numeric: tabular-nums; white-space: nowrap; }
.cards small { display: block; font-size: .78rem; font-weight: 400; color: var(--soft); letter-spacing: 0; white-space: normal; }
.two { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1.5rem; align-items: start; } .two > section { margin-top: 1.5rem; } .stack > section:first-child { margin-top: 1.5rem; }
@media (max-width: 860px) { .two { grid-template-columns: minmax(0, 1fr); gap: 0; } }
.legend { display: flex; flex-wrap: wrap; gap: .3rem 1.1rem; margin: 0 0 .9rem; padding: 0; list-style: none; color: var(--soft); font-size: .85rem; }
.legend i, .dot { display: inline-block; width: .7em; height: .7em; border-radius: 3px; margin-right: .45em; background: var(--k); }
.k-markdown { --k: var(--markdown); } .k-code { --k: var(--code); } .k-text { --k: var(--text); } .k-data { --k: var(--data); } .k-none { --k: var(--none); } .k-worker { --k: var(--soft); }
.lane, .axis { display: grid; grid-template-columns: 225px minmax(0, 1fr); gap: 16px; align-items: center; }
.lane { padding: 8px 0; border-top: 1px solid var(--line); } .lane:first-child { border-top: 0; }
.who b { display: block; overflow-wrap: anywhere; font-weight: 600; line-height: 1.3; } .who span { color: var(--soft); font-size: .82rem; }
.lane svg { width: 100%; display: block; } .lane svg rect { fill: var(--k); } .lane svg rect.row { fill: var(--row); } .lane svg rect.death { fill: var(--hard); } .lane svg rect:not(.row):hover { opacity: .65; }
.axis > div { display: flex; justify-content: space-between; color: var(--soft); font-size: .78rem; font-variant-numeric: tabular-nums; padding-top: 4px; }
@media (max-width: 640px) { .lane { grid-template-columns: minmax(0, 1fr); gap: 5px; } .axis { grid-template-columns: minmax(0, 1fr); } .axis > span { display: none; } .who b, .who span { display: inline; } .who span { margin-left: .6em; } }
.bars { list-style: none; margin: 0; padding: 0; } .bars li { display: grid; grid-template-columns: minmax(90px, 36%) minmax(0, 1fr); gap: 12px; align-items: center; padding: 2px 0; }
.bars .name { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; font-size: .88rem; } .bars a { text-decoration: none; } .bars a:hover { text-decoration: underline; } .dim { color: var(--soft); }
.bar { display: flex; align-items: center; gap: 8px; font-size: .82rem; font-variant-numeric: tabular-nums; color: var(--soft); } .bar i { flex: none; height: 13px; min-width: 2px; width: calc((100% - 64px) * var(--w)); background: var(--k); border-radius: 2px 5px 5px 2px; }
.terms { display: flex; flex-wrap: wrap; align-items: baseline; gap: .1rem .9rem; margin: 0; padding: 0; list-style: none; line-height: 1.45; } .terms li { font-size: calc(.86rem + .95rem * var(--w)); font-weight: calc(400 + 250 * var(--w)); letter-spacing: -.01em; overflow-wrap: anywhere; } .terms small { font-size: .72rem; font-weight: 400; color: var(--soft); margin-left: .25em; letter-spacing: 0; }
blockquote { margin: 0; padding-left: 14px; border-left: 3px solid var(--accent); overflow-wrap: anywhere; } blockquote + p { margin: .6rem 0 0; }
.facts { margin: .2rem 0 0; padding-left: 1.1rem; } .facts li { overflow-wrap: anywhere; padding: 1px 0; }
.out + .note { margin: .8rem 0 0; }
.killed { border-left: 4px solid var(--hard); }
.same { list-style: none; margin: 0; padding: 0; } .same > li { padding: 14px 0; border-top: 1px solid var(--line); } .same > li:first-child { border-top: 0; padding-top: 0; } .same > li:last-child { padding-bottom: 0; }
.same h3 { margin: 0 0 .4rem; font-size: .95rem; font-weight: 600; } .same h3 span { font-weight: 400; color: var(--soft); }
.sides { display: grid; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 10px 18px; } .sides.one { grid-template-columns: minmax(0, 1fr); }
.sides figure { margin: 0; min-width: 0; } .sides figcaption { font-size: .82rem; overflow-wrap: anywhere; margin-bottom: .2rem; } .sides figcaption b { font-weight: 600; }
.sides blockquote { border-left-color: var(--line); font-size: .88rem; color: var(--ink); }
.sides del, .sides ins { text-decoration: none; border-radius: 3px; padding: 0 .12em; box-decoration-break: clone; -webkit-box-decoration-break: clone; } .sides del { background: var(--del); } .sides ins { background: var(--ins); }
details > .same { margin-top: 1rem; } .same + details { margin-top: 12px; }
@media (max-width: 700px) { .sides { grid-template-columns: minmax(0, 1fr); } }
#tools { display: flex; flex-wrap: wrap; gap: 10px; align-items: center; margin-bottom: 12px; } #tools[hidden] { display: none; } #shown { color: var(--soft); font-size: .88rem; font-variant-numeric: tabular-nums; }
input, select { font: inherit; color: inherit; background: var(--paper); border: 1px solid var(--none); border-radius: 8px; padding: .4rem .65rem; } input { flex: 1 1 190px; max-width: 340px; min-width: 0; }
.scroll { overflow: auto; max-height: 88vh; margin: 0 calc(-1 * clamp(16px, 2.4vw, 26px)); padding: 0 clamp(16px, 2.4vw, 26px); }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .88rem; }
th { position: sticky; top: 0; z-index: 1; background: var(--card); text-align: left; padding: 0; border-bottom: 2px solid var(--line); white-space: nowrap; }
th button { all: unset; box-sizing: border-box; width: 100%; cursor: pointer; padding: 8px 7px; font-weight: 600; font-size: .82rem; color: var(--soft); } th button:hover { color: var(--ink); } th button:focus-visible { outline: 3px solid var(--accent); outline-offset: -3px; }
th button::after { content: "\\2195"; opacity: .35; margin-left: .2em; font-size: .8em; } th[aria-sort] button { color: var(--ink); } th[aria-sort=ascending] button::after { content: "\\2191"; opacity: 1; } th[aria-sort=descending] button::after { content: "\\2193"; opacity: 1; }
td { padding: 7px; border-bottom: 1px solid var(--line); vertical-align: top; } tbody tr:hover td { background: var(--hover); } tr:target td { background: var(--hover); box-shadow: inset 0 2px 0 var(--accent), inset 0 -2px 0 var(--accent); }
.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; } th.n { text-align: right; } .path { min-width: 200px; overflow-wrap: anywhere; } .key { min-width: 200px; color: var(--soft); font-size: .84rem; overflow-wrap: anywhere; } .kind { white-space: nowrap; }
.ease { white-space: nowrap; } .ease b { display: inline-block; min-width: 2.2em; text-align: right; font-weight: 400; font-variant-numeric: tabular-nums; margin-right: .2em; } .good { color: var(--good); } .fair { color: var(--fair); } .hard { color: var(--hard); }
details { margin-top: 2px; } summary { cursor: pointer; color: var(--soft); font-size: .8rem; } details ul { margin: .3rem 0; padding-left: 1.1rem; font-size: .84rem; } .out li { overflow-wrap: anywhere; }
.out { margin: 0; padding: 0; list-style: none; } .out li { padding: 5px 0; border-top: 1px solid var(--line); display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); gap: 14px; } .out li:first-child { border-top: 0; } .out span { color: var(--soft); }
.cut { border-left: 4px solid var(--fair); }
footer { color: var(--soft); font-size: .84rem; padding-top: 1.6rem; padding-bottom: 3rem; } footer p { max-width: 85ch; margin: .4rem 0; }
@media (max-width: 640px) { .out li { grid-template-columns: minmax(0, 1fr); gap: 0; } .path { min-width: 210px; } .key { min-width: 190px; } }
@media print { #tools, .skip { display: none; } .scroll { max-height: none; overflow: visible; } section { break-inside: avoid-page; } }
`;
