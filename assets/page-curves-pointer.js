// Pointer and keyboard on the Curves page: the tip, what a click pins, hides or zooms, the way through the legend.
(function () {
    const {curves} = window.prefscope;
    const {page, entryOf, send, byId, element, swatch, number, xWords, look} = curves;
    const {rows, focusable, search, showValues, light, zoomTo} = curves;

    const showTip = (event, parts) => {
        const tip = byId('curves-tip');
        if (!tip) return;
        tip.replaceChildren(...parts);
        tip.hidden = false;
        const wide = tip.offsetWidth, right = event.clientX + 16 + wide > window.innerWidth;
        tip.style.left = Math.max(4, right ? event.clientX - wide - 12 : event.clientX + 14) + 'px';
        tip.style.top = Math.max(4, event.clientY - tip.offsetHeight - 10) + 'px';
    };
    const hideTip = () => { const tip = byId('curves-tip'); if (tip) tip.hidden = true; };

    const describe = (chart, found) => {
        const {trace, point} = found.nearest, entry = entryOf(trace.meta.run);
        const head = element('div', 'curves-tip-name');
        if (entry) head.append(swatch(entry));
        head.append(element('span', '', entry ? entry.name : 'Median of up to ' + trace.meta.n + ' runs'));
        const words = [trace.meta.part, number(point.y, chart), 'at ' + xWords(chart, point.x)].filter(Boolean).join(' ');
        const lines = [head, element('div', '', words)];
        if (trace.meta.role === 'mean') {
            const of = (role) => ((found.values.get(trace.meta.run) || {})[role] || []).find((one) => one.part === trace.meta.part);
            const low = of('low'), high = of('high');
            const what = entry ? 'mean of ' + trace.meta.n + ' seeds; all of them' : 'the middle 80% of the runs with a value here';
            if (low && high) lines.push(element('div', 'dim', what + ' from ' + number(low.y, chart) + ' to ' + number(high.y, chart)));
        }
        return lines;
    };

    const toggled = (ids, id) => ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id];

    let due = null;
    document.addEventListener('mousemove', (event) => {
        if (!byId('curves-charts') || due) return;
        due = requestAnimationFrame(() => {
            due = null;
            const mark = event.target.closest && event.target.closest('.curves-mark');
            if (mark) return showTip(event, mark.lines.map((line) => element('div', '', line)));
            const item = event.target.closest && event.target.closest('.curves-row');
            if (item) { hideTip(); return light(item.dataset.run); }
            const chart = event.target.closest && event.target.closest('.curves-panel .js-plotly-plot');
            const found = chart && chart._fullLayout && look(chart, event);
            showValues(chart, found);
            light(found && found.nearest && found.nearest.trace.meta.run || null);
            if (found && found.nearest) showTip(event, describe(chart, found)); else hideTip();
        });
    });

    let pressed = null;
    document.addEventListener('mousedown', (event) => { pressed = [event.clientX, event.clientY]; }, true);
    document.addEventListener('click', (event) => {
        const target = event.target;
        if (!target.closest || !byId('curves-charts')) return;
        const item = target.closest('.curves-row');
        if (item) {
            page.active = rows().indexOf(item);
            const hide = target.closest('.curves-eye');
            send(hide ? 'curves-hidden' : 'curves-pinned', toggled(hide ? page.hidden : page.pinned, item.dataset.run));
        } else if (target.id === 'curves-unpin') send('curves-pinned', []);
        else if (target.id === 'curves-unhide') send('curves-hidden', []);
        else if (target.id === 'curves-unzoom') { zoomTo(null); send('curves-zoom', null); }
        else {
            const chart = target.closest('.curves-panel .js-plotly-plot');
            const still = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 4;
            const found = chart && still && event.detail === 1 && look(chart, event);
            const run = found && found.nearest && found.nearest.trace.meta.run;
            if (run) send('curves-pinned', toggled(page.pinned, run));
        }
    });

    document.addEventListener('keydown', (event) => {
        const item = event.target.closest && event.target.closest('.curves-row');
        const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
        if (!item || !step) return;
        event.preventDefault();
        const shown = rows().filter((other) => !other.hidden);
        const next = shown[shown.indexOf(item) + step];
        if (!next) return;
        const column = [...item.children].indexOf(event.target.closest('button'));
        page.active = rows().indexOf(next);
        focusable();
        next.children[Math.max(column, 0)].focus();
    });
    document.addEventListener('focusin', (event) => {
        const item = event.target.closest && event.target.closest('.curves-row');
        if (item) light(item.dataset.run);
    });
    document.addEventListener('focusout', (event) => {
        if (event.target.closest && event.target.closest('.curves-row')) light(null);
    });
    document.addEventListener('input', (event) => { if (event.target.id === 'curves-search') search(); });
})();
