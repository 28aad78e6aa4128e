/** The page's only script: sorts by a header, filters by a word and a kind. Without it the table is whole and sorted. */
export const PAGE_SCRIPT = `
(() => {
  const table = document.querySelector('#files');
  if (!table) return;
  const body = table.tBodies[0];
  const rows = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  const byText = new Intl.Collator('en', { numeric: true, sensitivity: 'base' });

  const valueOf = (row, column) => row.cells[column].dataset.v;
  const compare = (column, numeric, sign) => (a, b) => {
    const left = valueOf(a, column);
    const right = valueOf(b, column);
    if (left === '' || right === '') return (left === '') - (right === '');
    return sign * (numeric ? left - right : byText.compare(left, right));
  };
  const sortBy = (column) => {
    const head = heads[column];
    const numeric = head.dataset.type === 'number';
    const before = head.getAttribute('aria-sort');
    const up = before ? before === 'descending' : !numeric;
    for (const other of heads) other.removeAttribute('aria-sort');
    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');
    rows.sort(compare(column, numeric, up ? 1 : -1));
    body.append(...rows);
    say(head.textContent.trim() + ', ' + (up ? 'ascending' : 'descending'));
  };
  heads.forEach((head, column) => head.querySelector('button').addEventListener('click', () => sortBy(column)));

  const tools = document.querySelector('#tools');
  const word = document.querySelector('#filter');
  const kind = document.querySelector('#kind');
  const shown = document.querySelector('#shown');
  const live = document.querySelector('#live');
  const none = document.querySelector('#none');
  const say = (text) => { live.textContent = text; };
  const texts = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));
  const filter = () => {
    const wanted = word.value.trim().toLowerCase();
    let count = 0;
    for (const row of rows) {
      row.hidden = !(texts.get(row).includes(wanted) && (kind.value === '' || row.dataset.kind === kind.value));
      if (!row.hidden) count++;
    }
    shown.textContent = count + ' of ' + rows.length;
    none.hidden = count > 0;
  };
  word.addEventListener('input', filter);
  kind.addEventListener('change', filter);
  tools.hidden = false;
  filter();

  const open = () => {
    const row = location.hash.startsWith('#f') && document.getElementById(location.hash.slice(1));
    if (!row || !row.hidden) return;
    word.value = kind.value = '';
    filter();
    row.scrollIntoView();
  };
  addEventListener('hashchange', open);
})();
`;
