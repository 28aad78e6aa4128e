import { compareExcerpts, type Piece } from './excerpts.ts';
import { BOILERPLATE_FILES_MIN, type DuplicateGroup, type DuplicatePlace } from './find-duplicates.ts';
import { type Html, html } from './html.ts';
import { count, number, pathOf } from './page-parts.ts';
import type { Report } from './report.ts';

const GROUPS_SHOWN = 8;

/** Paragraphs that stand in several files, those of a few side by side, those of very many in one line each. */
export function duplicatesSection({ duplicates }: Report): Html | null {
  if (duplicates === null) return null;
  const { groups, groupsMore, boilerplate, boilerplateMore, compared, cut } = duplicates;
  if (groups.length + boilerplate.length === 0) return null;
  const [first, later] = [groups.slice(0, GROUPS_SHOWN), groups.slice(GROUPS_SHOWN)];
  const partly = cut ? ' There were too many to look at them all.' : '';
  return html`<section id="same"><h2>Said more than once</h2><p class="note">Paragraphs and comments that stand in several files, word for word or almost, found among ${count(compared, 'paragraph')}. What differs is marked.${partly}</p>
<ul class="same">${first.map(group)}</ul>
${later.length === 0 ? null : html`<details><summary>${number(later.length)} more</summary><ul class="same">${later.map(group)}</ul></details>`}
${groupsMore === 0 ? null : html`<p class="note">And ${number(groupsMore)} more that are not listed.</p>`}
${boilerplate.length === 0 ? null : html`<h3>Boilerplate</h3><p class="note">In ${BOILERPLATE_FILES_MIN} files or more, such as a licence.</p><ul class="out">${boilerplate.map(common)}</ul>`}
${boilerplateMore === 0 ? null : html`<p class="note">And ${number(boilerplateMore)} more that are not listed.</p>`}</section>`;
}

function group(found: DuplicateGroup): Html {
  const { left, right, places, placesMore, words } = found;
  const [here, ...others] = places;
  const there = right ?? others.find(({ path }) => path !== here!.path) ?? here!;
  const rest = others.filter(({ path, line }) => path !== there.path || line !== there.line);
  return html`<li><h3>${headOf(found)} <span>· ${count(words, 'word')}${more(found)}</span></h3>
${right === null ? alike(left, here!, there) : sideBySide(here!, left, there, right.text)}
${rest.length === 0 ? null : html`<details><summary>also in ${number(rest.length + placesMore)} other ${rest.length + placesMore === 1 ? 'place' : 'places'}</summary><ul class="out">${rest.map(place)}</ul>${placesMore > 0 ? html`<p class="note">And ${number(placesMore)} more.</p>` : null}</details>`}</li>
`;
}

function headOf({ files, alike, right }: DuplicateGroup): string {
  return `${right === null ? 'Word for word' : `${percent(alike)} alike`} in ${count(files, 'file')}`;
}

function more({ paragraphs }: DuplicateGroup): string {
  return paragraphs === 1 ? '' : ` in the longest of ${number(paragraphs)} paragraphs these files share`;
}

function alike(text: string, here: DuplicatePlace, there: Place): Html {
  return html`<div class="sides one"><figure><figcaption>${at(here)} and ${at(there)}</figcaption><blockquote>${text}</blockquote></figure></div>`;
}

type Place = Pick<DuplicatePlace, 'path' | 'line'>;

function sideBySide(here: Place, left: string, there: Place, right: string): Html {
  const pieces = compareExcerpts(left, right);
  return html`<div class="sides"><figure><figcaption>${at(here)}</figcaption><blockquote>${pieces.left.map((piece) => marked(piece, 'del'))}</blockquote></figure>
<figure><figcaption>${at(there)}</figcaption><blockquote>${pieces.right.map((piece) => marked(piece, 'ins'))}</blockquote></figure></div>`;
}

function marked({ text, own }: Piece, as: 'del' | 'ins'): Html {
  if (!own) return html`${text} `;
  return as === 'del' ? html`<del>${text}</del> ` : html`<ins>${text}</ins> `;
}

function at({ path, line }: Place): Html {
  return html`${pathOf(path)}<span class="dim">:${line}</span>`;
}

function place(found: DuplicatePlace): Html {
  return html`<li><span>${at(found)}</span><span>${percent(found.alike)} alike</span></li>`;
}

function common({ files, left, places }: DuplicateGroup): Html {
  const [first] = places;
  return html`<li><span>${count(files, 'file')}, such as ${at(first!)}</span><span>${left}</span></li>`;
}

function percent(alike: number): string {
  return `${Math.floor(alike * 100 + 1e-9)} %`;
}
