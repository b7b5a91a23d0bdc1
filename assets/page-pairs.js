// The Pairs page: the list of pairs that draws what is in view, the chosen pair in list and map, filters by button.
(function () {
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});
    const ROW = 48, BEYOND = 6, PAUSE = 140;
    const keep = () => window.dash_clientside.no_update;
    const list = () => document.getElementById('pairs-list');
    let rows = null, current = -1, sending = 0, frame = 0;

    const element = (tag, className, text) => {
        const made = document.createElement(tag);
        if (className) made.className = className;
        if (text !== undefined) made.textContent = text;
        return made;
    };

    const line = (i) => {
        const option = element('div', 'pairs-row');
        const right = rows.right[i], margin = rows.margin[i], marks = rows.marks[i];
        option.id = 'pairs-row-' + i;
        option.style.top = i * ROW + 'px';
        option.setAttribute('role', 'option');
        option.setAttribute('aria-selected', String(i === current));
        option.setAttribute('aria-posinset', i + 1);
        option.setAttribute('aria-setsize', rows.ids.length);
        option.dataset.row = i;
        const meter = element('span', 'pairs-meter');
        meter.style.setProperty('--right', right / rows.runs);
        meter.setAttribute('aria-hidden', 'true');
        const words = element('span', 'pairs-words');
        words.append(element('span', 'pairs-title-text', rows.titles[i] || rows.names[i]));
        const about = [rows.names[i], right + ' of ' + rows.runs + ' right'];
        if (margin !== null) about.push('margin ' + (margin < 0 ? '−' : '') + Math.abs(margin).toFixed(2) + '×');
        words.append(element('span', 'pairs-about', about.join(' · ')));
        option.append(meter, words);
        if (marks.includes('s')) option.append(element('span', 'badge-pill badge-warning', 'label?'));
        if (marks.includes('t')) option.append(element('span', 'badge-pill', 'cut'));
        return option;
    };

    const draw = () => {
        const box = list();
        if (!box || !rows) return;
        const track = element('div', 'pairs-track');
        track.setAttribute('role', 'presentation');
        track.style.height = rows.ids.length * ROW + 'px';
        const first = Math.max(0, Math.floor(box.scrollTop / ROW) - BEYOND);
        const last = Math.min(rows.ids.length, Math.ceil((box.scrollTop + box.clientHeight) / ROW) + BEYOND);
        for (let i = first; i < last; i++) track.append(line(i));
        const top = box.scrollTop;
        box.replaceChildren(track);
        box.scrollTop = top;
        if (current >= first && current < last) box.setAttribute('aria-activedescendant', 'pairs-row-' + current);
        else box.removeAttribute('aria-activedescendant');
    };

    const later = () => {
        window.cancelAnimationFrame(frame);
        frame = window.requestAnimationFrame(draw);
    };

    const reveal = () => {
        const box = list();
        if (!box || current < 0) return;
        const top = current * ROW;
        if (top < box.scrollTop) box.scrollTop = top;
        else if (top + ROW > box.scrollTop + box.clientHeight) box.scrollTop = top + ROW - box.clientHeight;
    };

    const choose = (row, wait) => {
        if (!rows || !rows.ids.length) return;
        current = Math.min(Math.max(row, 0), rows.ids.length - 1);
        reveal();
        draw();
        window.clearTimeout(sending);
        const id = rows.ids[current];
        sending = window.setTimeout(() => window.dash_clientside.set_props('pairs-pair', {data: id}), wait);
    };

    const STEPS = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity};

    Object.assign(prefscope, {
        pairsList: (data, pair) => {
            const fresh = data !== rows;
            rows = data;
            current = rows ? rows.ids.indexOf(pair) : -1;
            if (fresh) window.setTimeout(() => { reveal(); draw(); }, 0);
            else { reveal(); later(); }
            return keep();
        },

        // A frame around the chosen pair in the map.
        pairsMark: (data, pair) => {
            const row = data ? data.ids.indexOf(pair) : -1;
            const frame = {
                type: 'rect', xref: 'paper', x0: 0, x1: 1, y0: row - 0.5, y1: row + 0.5,
                line: {color: '#8a8f98', width: 1.5}, layer: 'above',
            };
            return new window.dash_clientside.Patch().assign(['layout', 'shapes'], row < 0 || row >= data.drawn ? [] : [frame]).build();
        },

        // A point of a heat map comes without its place: dcc.Graph leaves out what is a list.
        pairsClick: (click, data, figure) => {
            const point = click && click.points && click.points[0];
            if (!point || !data || !figure || !figure.data.length) return keep();
            const id = data.ids[figure.data[0].y.indexOf(point.y)];
            return id === undefined ? keep() : id;
        },

        pairsSelection: (ids, known) => {
            const chosen = ids || [], before = known || [];
            return chosen.length === before.length && chosen.every((id, i) => id === before[i]) ? keep() : chosen;
        },
    });

    document.addEventListener('scroll', (event) => { if (event.target.id === 'pairs-list') later(); }, true);
    document.addEventListener('keydown', (event) => {
        if (event.target.id !== 'pairs-list' || !(event.key in STEPS) || !rows) return;
        event.preventDefault();
        choose(current + STEPS[event.key], PAUSE);
    });
    document.addEventListener('click', (event) => {
        const on = (selector) => event.target.closest && event.target.closest(selector);
        const row = on('.pairs-row'), cell = on('[data-pairs-cell]'), only = on('[data-pairs-only]');
        if (row) choose(Number(row.dataset.row), 0);
        if (cell) {
            const value = cell.getAttribute('aria-pressed') === 'true' ? '' : cell.dataset.pairsCell;
            window.dash_clientside.set_props('pairs-cell', {data: value});
        }
        if (only) {
            window.dash_clientside.set_props('pairs-only', {value: only.dataset.pairsOnly});
            if (list()) list().scrollIntoView({block: 'nearest'});
        }
    });
})();
