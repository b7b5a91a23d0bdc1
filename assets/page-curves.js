// The Curves page in the browser: legend, pointer, linked zoom, marks, and which panels are in view.
(function () {
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});
    const keep = () => window.dash_clientside.no_update;
    const set = (id, props) => window.dash_clientside.set_props(id, props);
    const byId = (id) => document.getElementById(id);
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

    const page = {entries: [], pinned: [], hidden: [], marks: [], zoom: null, lit: null, active: 0};

    // Charts. A trace's meta says whose it is: {run, part, role, n}; assets of plotly.js name a trace's node by its uid.
    const charts = () => [...document.querySelectorAll('.curves-panel .js-plotly-plot')].filter((chart) => chart._fullLayout && chart._fullData);
    const traces = (chart) => chart._fullData.filter((trace) => trace.meta && trace.visible === true);
    const MAIN = new Set(['line', 'mean']);

    const indexBefore = (x, at) => {
        let low = 0, high = x.length;
        while (low < high) {
            const middle = (low + high) >> 1;
            if (x[middle] <= at) low = middle + 1; else high = middle;
        }
        return low - 1;
    };

    // The logged point next to x; none beyond a line's ends but for a little, or in a gap.
    const pointAt = (trace, at, slack) => {
        const x = trace.x, before = indexBefore(x, at);
        const i = before < 0 ? 0 : before + 1 < x.length && x[before + 1] - at < at - x[before] ? before + 1 : before;
        if (!x.length || at < x[0] - slack || at > x[x.length - 1] + slack || !Number.isFinite(trace.y[i])) return null;
        return {x: x[i], y: trace.y[i], i, before};
    };

    // How far above or below the pointer the line passes, in pixels.
    const distance = (trace, point, axes, pointer) => {
        const place = (i) => [axes.x.d2p(trace.x[i]), axes.y.d2p(trace.y[i])];
        const a = place(Math.max(point.before, 0)), b = place(Math.min(point.before + 1, trace.x.length - 1));
        const share = b[0] > a[0] ? Math.min(1, Math.max(0, (pointer.x - a[0]) / (b[0] - a[0]))) : 0;
        const y = a[1] + share * (b[1] - a[1]);
        return Math.abs((Number.isFinite(y) ? y : axes.y.d2p(point.y)) - pointer.y);
    };

    const number = (value, chart) => {
        if (chart._fullLayout.yaxis.tickformat === '.0%') return (100 * value).toFixed(1) + '%';
        const size = Math.abs(value);
        const text = size && (size < 1e-3 || size >= 1e5) ? value.toExponential(2) : value.toFixed(size < 10 ? 4 : size < 1000 ? 2 : 0);
        return text.replace('-', '\u2212');
    };
    const xWords = (chart, x) => {
        const title = chart._fullLayout.xaxis.title.text;
        if (title === 'epoch') return 'epoch ' + x.toFixed(2);
        return title.startsWith('minutes') ? x.toFixed(1) + ' min' : 'step ' + Math.round(x).toLocaleString('en');
    };

    // What lies under the pointer: values by run at this x, and the nearest line.
    const look = (chart, event) => {
        const box = chart.getBoundingClientRect(), axes = {x: chart._fullLayout.xaxis, y: chart._fullLayout.yaxis};
        const pointer = {x: event.clientX - box.left - axes.x._offset, y: event.clientY - box.top - axes.y._offset};
        if (pointer.x < 0 || pointer.x > axes.x._length || pointer.y < 0 || pointer.y > axes.y._length) return null;
        const at = axes.x.p2d(pointer.x), slack = Math.abs(axes.x.p2d(Math.min(pointer.x + 12, axes.x._length)) - at);
        const values = new Map();
        let nearest = null;
        traces(chart).forEach((trace) => {
            const point = pointAt(trace, at, slack);
            if (!point) return;
            const known = values.get(trace.meta.run) || {};
            (known[trace.meta.role] = known[trace.meta.role] || []).push({...point, part: trace.meta.part, n: trace.meta.n});
            values.set(trace.meta.run, known);
            if (!MAIN.has(trace.meta.role)) return;
            const away = distance(trace, point, axes, pointer);
            if (!nearest || away < nearest.away) nearest = {away, trace, point};
        });
        return {at, values, nearest: nearest && nearest.away < 40 ? nearest : null};
    };

    const element = (tag, className, text) => {
        const made = document.createElement(tag);
        if (className) made.className = className;
        if (text !== undefined) made.textContent = text;
        return made;
    };
    const swatch = (entry) => {
        const made = element('span', 'swatch swatch-' + entry.symbol);
        made.style.background = entry.colour;
        return made;
    };
    const entryOf = (id) => page.entries.find((entry) => entry.id === id);

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
        head.append(element('span', '', entry ? entry.name : 'Median of ' + trace.meta.n + ' runs'));
        const words = [trace.meta.part, number(point.y, chart), 'at ' + xWords(chart, point.x)].filter(Boolean).join(' ');
        const lines = [head, element('div', '', words)];
        if (trace.meta.role === 'mean') {
            const of = (role) => ((found.values.get(trace.meta.run) || {})[role] || []).find((one) => one.part === trace.meta.part);
            const low = of('low'), high = of('high');
            const what = entry ? 'mean of ' + trace.meta.n + ' seeds; all of them' : '80% of the runs';
            if (low && high) lines.push(element('div', 'dim', what + ' from ' + number(low.y, chart) + ' to ' + number(high.y, chart)));
        }
        return lines;
    };

    // The legend. Its rows are made once per list of runs; their values follow the pointer.
    const rows = () => [...document.querySelectorAll('#curves-legend > li')];
    const toggled = (ids, id) => ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id];

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

    // Lines that stand out: pinned ones, and the one under the pointer.
    const highlight = () => {
        const shown = new Set(page.lit ? [page.lit, ...page.pinned] : page.pinned);
        charts().forEach((chart) => {
            const known = new Map(traces(chart).map((trace) => ['trace' + trace.uid, trace.meta]));
            chart.classList.toggle('curves-focus', [...known.values()].some((meta) => shown.has(meta.run)));
            chart.querySelectorAll('.scatterlayer > .trace').forEach((node) => {
                const meta = known.get([...node.classList].find((name) => known.has(name))) || {};
                node.classList.toggle('curves-lit', shown.has(meta.run) && MAIN.has(meta.role));
                node.classList.toggle('curves-near', !meta.run || (shown.has(meta.run) && !MAIN.has(meta.role)));
            });
        });
        rows().forEach((item) => item.classList.toggle('curves-row-lit', item.dataset.run === page.lit));
    };
    const light = (run) => {
        if (page.lit === run) return;
        page.lit = run;
        highlight();
    };

    // Marks below the lines; those at one place become one.
    const GLYPHS = {best: '\u2605', bad: '\u2715', warning: '\u25B2', info: '\u25CF'};
    const drawMarks = (chart) => {
        const layer = chart.closest('.curves-chart') && chart.closest('.curves-chart').querySelector('.curves-marks');
        if (!layer) return;
        const x = chart._fullLayout.xaxis, size = chart._fullLayout._size, places = new Map();
        const drawn = new Set(traces(chart).map((trace) => trace.meta.run));
        page.marks.filter(([run]) => drawn.has(run)).forEach(([run, at, kind, words]) => {
            const left = Math.round(x.d2p(at));
            if (!(left >= 0 && left <= x._length)) return;
            const key = kind === 'epoch' ? 'epoch ' + left : kind + ' ' + Math.round(left / 8);
            const known = places.get(key) || {left, kind, run, lines: []};
            const entry = entryOf(run);
            const text = kind === 'epoch' ? words : (entry ? entry.name + ': ' : '') + words + ', ' + xWords(chart, at);
            if (!known.lines.includes(text)) known.lines.push(text);
            places.set(key, known);
        });
        layer.style.left = size.l + 'px';
        layer.style.top = size.t + 'px';
        layer.style.width = x._length + 'px';
        layer.style.height = size.h + 'px';
        layer.replaceChildren(...[...places.values()].map((place) => {
            const mark = element('span', 'curves-mark curves-mark-' + place.kind, GLYPHS[place.kind]);
            const entry = entryOf(place.run);
            mark.style.left = place.left + 'px';
            if (entry && place.kind === 'best') mark.style.color = entry.colour;
            mark.lines = place.lines;
            return mark;
        }));
    };

    // One range of x for all charts; page.zoom is in the units of the axis, plotly's is in powers of ten on a log axis.
    const rangeOf = (chart) => chart._fullLayout.xaxis.range.map((end) => chart._fullLayout.xaxis.type === 'log' ? 10 ** end : end);
    const zoomTo = (zoom, except) => charts().filter((chart) => chart !== except).forEach((chart) => {
        const log = chart._fullLayout.xaxis.type === 'log';
        if (zoom && same(rangeOf(chart), zoom)) return;
        chart.following = true;
        window.Plotly.relayout(chart, zoom ? {'xaxis.range': zoom.map((end) => log ? Math.log10(end) : end)} : {'xaxis.autorange': true, 'yaxis.autorange': true})
            .then(() => { chart.following = false; });
    });
    const zoomed = (chart, change) => {
        if (chart.following || !Object.keys(change).some((key) => key.startsWith('xaxis'))) return;
        page.zoom = change['xaxis.autorange'] ? null : rangeOf(chart);
        zoomTo(page.zoom, chart);
        set('curves-zoom', {data: page.zoom});
    };

    const redrawn = (chart) => {
        if (chart._fullLayout.xaxis.visible !== false) chart.closest('.curves-chart').classList.add('curves-there');
        highlight();
        drawMarks(chart);
    };
    const adopt = (patience) => {
        const panels = [...document.querySelectorAll('.curves-panel')];
        panels.forEach((panel) => { if (!panel.watched) { panel.watched = true; view.observe(panel); } });
        charts().forEach((chart) => {
            if (!chart.adopted) {
                chart.adopted = true;
                chart.on('plotly_relayout', (change) => zoomed(chart, change));
                chart.on('plotly_afterplot', () => redrawn(chart));
            }
            redrawn(chart);
        });
        const waiting = panels.some((panel) => !panel.watched || !charts().some((chart) => panel.contains(chart)));
        if (waiting && patience > 0) setTimeout(() => adopt(patience - 1), 100);
    };

    // A panel is asked for while it is in view, or nearly so.
    const view = new IntersectionObserver((changes) => changes.forEach((change) => {
        const panel = change.target;
        if (panel.isConnected) set({type: 'curves-seen', panel: panel.dataset.panel}, {data: change.isIntersecting});
        else view.unobserve(panel);
    }), {rootMargin: '200px'});

    Object.assign(prefscope, {
        curvesView: (runs, split, x, unit, smooth, show, zoom, pins, hidden) => ({runs, split, x, unit, smooth, show, zoom, pins, hidden}),

        curvesWant: (seen, asked, version) => seen && asked ? {...asked, version} : keep(),

        curvesShown: (entries, pinned, hidden, zoom) => {
            Object.assign(page, {entries: entries || [], pinned: pinned || [], hidden: hidden || [], zoom});
            requestAnimationFrame(() => { buildLegend(); adopt(30); });
            return keep();
        },

        curvesMarked: (marks) => {
            page.marks = marks || [];
            charts().forEach(drawMarks);
            return keep();
        },

        curvesDrawn: () => {
            requestAnimationFrame(() => adopt(30));
            return keep();
        },

        curvesAxis: () => null,
    });

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
            set(hide ? 'curves-hidden' : 'curves-pinned', {data: toggled(hide ? page.hidden : page.pinned, item.dataset.run)});
        } else if (target.id === 'curves-unpin') set('curves-pinned', {data: []});
        else if (target.id === 'curves-unhide') set('curves-hidden', {data: []});
        else if (target.id === 'curves-unzoom') { zoomTo(null); set('curves-zoom', {data: null}); }
        else {
            const chart = target.closest('.curves-panel .js-plotly-plot');
            const still = pressed && Math.hypot(event.clientX - pressed[0], event.clientY - pressed[1]) < 4;
            const found = chart && still && event.detail === 1 && look(chart, event);
            const run = found && found.nearest && found.nearest.trace.meta.run;
            if (run) set('curves-pinned', {data: toggled(page.pinned, run)});
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
