// The legend of the Curves page: a row for each run, with its value under the pointer.
(function () {
    const {curves} = window.prefscope;
    const {page, byId, same, element, swatch, number, xWords} = curves;

    // The rows are made once per list of runs; their values follow the pointer.
    const rows = () => [...document.querySelectorAll('#curves-legend > li')];

    const row = (entry) => {
        const item = element('li', 'curves-row');
        item.dataset.run = entry.id;
        const pin = element('button', 'curves-pin');
        pin.type = 'button';
        pin.title = entry.name + ': click to pin';
        const value = element('span', 'curves-value');
        pin.append(swatch(entry), element('span', 'run-label', entry.name), value);
        const eye = element('button', 'curves-eye');
        eye.type = 'button';
        item.append(pin, eye);
        return item;
    };

    const buildLegend = () => {
        const list = byId('curves-legend');
        if (!list) return;
        if (!same(list.known, page.entries)) {
            list.known = page.entries;
            list.replaceChildren(...page.entries.map(row));
            findable();
            search();
        }
        rows().forEach((item, place) => {
            const entry = page.entries[place], out = page.hidden.includes(entry.id), [pin, eye] = item.children;
            item.classList.toggle('curves-out', out);
            pin.setAttribute('aria-pressed', String(page.pinned.includes(entry.id)));
            eye.setAttribute('aria-pressed', String(out));
            eye.setAttribute('aria-label', (out ? 'Show ' : 'Hide ') + entry.name);
            eye.title = out ? 'Show' : 'Hide';
        });
        focusable();
        byId('curves-unpin').hidden = !page.pinned.length;
        byId('curves-unhide').hidden = !page.hidden.length;
        byId('curves-unzoom').hidden = !page.zoom;
    };

    // One row can be reached by Tab; the arrow keys go from row to row.
    const focusable = () => rows().forEach((item, place) => [...item.children].forEach((button) => {
        button.tabIndex = place === Math.min(page.active, page.entries.length - 1) ? 0 : -1;
    }));

    const findable = () => {
        const place = byId('curves-find');
        place.hidden = page.entries.length <= 8;
        if (place.firstChild) return;
        const field = element('input', 'curves-search');
        Object.assign(field, {id: 'curves-search', type: 'search', placeholder: 'Find a run', ariaLabel: 'Find a run'});
        place.append(field);
    };
    const search = () => {
        const field = byId('curves-search');
        const words = (field && field.value || '').toLowerCase().split(/\s+/).filter(Boolean);
        rows().forEach((item, place) => {
            const name = page.entries[place].name.toLowerCase();
            item.hidden = !words.every((word) => name.includes(word));
        });
    };

    const showValues = (chart, found) => {
        const head = byId('curves-at');
        if (!head) return;
        head.textContent = found ? 'at ' + xWords(chart, found.at) : '';
        const order = rows().map((item) => {
            const known = found && found.values.get(item.dataset.run);
            const main = known ? known.line || known.mean || [] : [];
            item.querySelector('.curves-value').textContent = main.map((point) => number(point.y, chart)).join(' / ');
            return [item, main.length ? main[0].y : -Infinity];
        });
        if (found) order.sort((a, b) => b[1] - a[1]);
        order.forEach(([item], place) => { item.style.order = found ? place : 0; });
    };

    Object.assign(curves, {rows, buildLegend, focusable, search, showValues});
})();
