"""The style sheet of the page: light and dark colours, one column on a phone. It loads nothing."""

STYLE = """
:root { color-scheme: light dark; --back: #ffffff; --panel: #f8fafc; --text: #0f172a; --soft: #526074;
  --line: #dfe5ec; --good: #1d4ed8; --bad: #c2410c; --on: #ffffff; --c2: #047857; --c3: #7c3aed; }
@media (prefers-color-scheme: dark) {
  :root { --back: #0f172a; --panel: #1a2438; --text: #e6ebf3; --soft: #a3b0c2; --line: #334155;
    --good: #7ab2ff; --bad: #ff9d5c; --on: #0b1220; --c2: #4ade80; --c3: #c4a5ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--text); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 48px; }
p, h2, summary { overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; margin: 0 0 4px; overflow-wrap: anywhere; line-height: 1.25; }
h2 { font-size: 1.1rem; margin: 34px 0 6px; }
h2::first-letter { text-transform: uppercase; }
p { margin: 4px 0 10px; }
.soft, .note { color: var(--soft); }
.note { font-size: .9rem; max-width: 70ch; }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: 5px 12px 5px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--soft); font-weight: 600; white-space: nowrap; }
td.number, th.number { text-align: right; white-space: nowrap; }
td { overflow-wrap: break-word; }
td.long { min-width: 260px; }
table.cards { width: 100%; }
td.place { min-width: 160px; color: var(--soft); }
details { margin: 8px 0; }
summary { cursor: pointer; color: var(--good); padding: 4px 0; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 320px), 1fr)); gap: 8px 24px; }
.plots section { min-width: 0; }
svg { display: block; font-family: system-ui, sans-serif; }
svg text { fill: var(--text); font-size: 11px; }
svg text[font-size="9"] { font-size: 9px; }
svg text[font-size="10"] { font-size: 10px; }
svg.plot { width: 100%; height: auto; max-width: 460px; }
svg.map { margin: 4px 0; }
svg .tick, svg .axis { fill: var(--soft); font-size: 10px; }
svg.bars .name { font-size: 13px; }
svg.bars .tick { font-size: 12px; }
svg .on { fill: var(--on); }
.grid { stroke: var(--line); stroke-width: .7; }
.base { stroke: var(--soft); }
.ideal { stroke: var(--soft); stroke-dasharray: 4 3; }
.empty { fill: var(--line); fill-opacity: .45; }
.right { fill: var(--good); }
.wrong { fill: var(--bad); }
.c0 { fill: var(--good); } .c1 { fill: var(--bad); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.line { fill: none; stroke-width: 1.8; }
.line.c0 { stroke: var(--good); } .line.c1 { stroke: var(--bad); }
.line.c2 { stroke: var(--c2); } .line.c3 { stroke: var(--c3); }
.dot { fill-opacity: .55; }
.legend { font-size: .85rem; color: var(--soft); margin: 0 0 0 50px; }
.legend span { margin-right: 16px; }
.legend i { display: inline-block; width: 10px; height: 10px; border-radius: 2px; margin-right: 5px; }
.legend i.c0 { background: var(--good); } .legend i.c1 { background: var(--bad); }
.legend i.c2 { background: var(--c2); } .legend i.c3 { background: var(--c3); }
dl { display: grid; grid-template-columns: minmax(0, max-content) minmax(0, 1fr); gap: 2px 16px;
  font-size: .9rem; margin: 0; }
dt { color: var(--soft); overflow-wrap: anywhere; }
dd { margin: 0; overflow-wrap: anywhere; }
pre { background: var(--panel); padding: 10px 12px; border-radius: 6px; overflow-x: auto; font-size: .8rem; }
footer { margin-top: 40px; color: var(--soft); font-size: .85rem; }
@media (max-width: 640px) {
  main { padding: 16px 14px 40px; }
  dl { grid-template-columns: minmax(0, 1fr); gap: 0; }
  dd { margin-bottom: 6px; }
  table.cards thead { display: none; }
  table.cards, table.cards tbody, table.cards tr, table.cards td { display: block; width: 100%; }
  table.cards tr { border-bottom: 1px solid var(--line); padding: 8px 0; }
  table.cards td { border: 0; padding: 1px 0; text-align: left; white-space: normal; overflow-wrap: anywhere; }
  table.cards td::before { content: attr(data-name) ": "; color: var(--soft); }
}
@media print { details > * { display: block; } }
"""
