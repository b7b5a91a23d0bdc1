// The Curves page in the browser: what its scripts share, and what its charts show; the others build on it in their order.
(function () {
    const curves = (window.prefscope = window.prefscope || {}).curves = {};

    const page = {entries: [], pinned: [], hidden: [], marks: [], zoom: null, lit: null, active: 0};
    const entryOf = (id) => page.entries.find((entry) => entry.id === id);

    const {send} = window.dash_clientside.prefscope;

    const byId = (id) => document.getElementById(id);
    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
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

    Object.assign(curves, {page, entryOf, send, byId, same, element, swatch, charts, traces, MAIN, number, xWords, look});
})();
