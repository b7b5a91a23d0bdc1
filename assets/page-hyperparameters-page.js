// The Hyper-parameters page: the runs that are picked, in its charts and as chips, and what Dash calls.
(function () {
    const {MOST_IDS, same, Lines} = window.prefscope.hyper;
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});
    const keep = () => window.dash_clientside.no_update;

    let lines = null;

    document.addEventListener('pointerdown', (event) => {
        if (lines && !lines.editor.box.hidden && !lines.editor.box.contains(event.target) && !event.target.closest('.hyper-name')) {
            lines.editor.box.hidden = true;
        }
    });

    // Points of the charts whose runs are not selected step back.
    let marking = null;
    const markPoints = (selected) => {
        clearTimeout(marking);
        marking = setTimeout(() => {
            const chosen = new Set(selected || []);
            document.querySelectorAll('.hyper-slices .js-plotly-plot').forEach((chart) => {
                const place = (chart.data || []).findIndex((trace) => Array.isArray(trace.customdata));
                if (place < 0 || !window.Plotly) return;
                const picked = chart.data[place].customdata.map((id, n) => chosen.has(id) ? n : -1).filter((n) => n >= 0);
                const wanted = picked.length ? picked : null;
                if (same(wanted, chart.data[place].selectedpoints || null)) return;
                window.Plotly.restyle(chart, {selectedpoints: [wanted]}, [place]);
            });
        }, 250);
    };

    const MOST_CHIPS = 12, PAGES = ['/curves', '/compare', '/pairs'], MOST = [20, 6, 100];

    const chip = (data, id) => {
        const run = data ? data.ids.indexOf(id) : -1;
        const name = run < 0 ? id : data.names[run], colour = run < 0 ? 'var(--dim)' : data.colours[run];
        const symbol = run < 0 ? 'circle' : data.symbols[run];
        const swatch = {type: 'Span', namespace: 'dash_html_components', props: {className: 'swatch swatch-' + symbol, style: {background: colour}}};
        const label = {type: 'Span', namespace: 'dash_html_components', props: {className: 'run-label', children: name}};
        return {
            type: 'Link', namespace: 'dash_core_components',
            props: {href: '/run/' + encodeURIComponent(id), className: 'hyper-chip', title: name, children: [swatch, label]},
        };
    };

    Object.assign(prefscope, {
        hyperLines: (data, brushes, hidden, order, colour, selected) => {
            const root = document.getElementById('hyper-lines');
            if (!root || !data) return keep();
            if (!lines || lines.root !== root) {
                if (lines) lines.drop();
                lines = new Lines(root);
            }
            lines.show(data, brushes, hidden, order, colour, selected);
            markPoints(selected);
            return keep();
        },

        hyperPicked: (selected, data) => {
            const ids = selected || [];
            const shown = ids.slice(0, MOST_CHIPS).map((id) => chip(data, id));
            if (ids.length > MOST_CHIPS) {
                shown.push({type: 'Span', namespace: 'dash_html_components', props: {className: 'dim', children: 'and ' + (ids.length - MOST_CHIPS) + ' more'}});
            }
            const hrefs = PAGES.map((page, n) => page + '?runs=' + ids.slice(0, MOST[n]).map(encodeURIComponent).join(','));
            return [shown, ids.length === 0, ...hrefs];
        },

        hyperPick: (slices, surface, selected) => {
            const found = window.dash_clientside.callback_context.triggered.map((one) => one.value).filter(Boolean)[0];
            const id = found && found.points && found.points[0] && found.points[0].customdata;
            if (!id) return keep();
            const ids = selected || [];
            return ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id].slice(-MOST_IDS);
        },

        hyperOnly: (clicks, scope, selected) => {
            if (!clicks) return keep();
            return scope && scope.length ? [] : (selected || []).slice(0, MOST_IDS);
        },

        hyperOnlyWords: (scope, selected) => {
            const count = (scope || []).length, picked = (selected || []).length;
            if (count) return ['Only ' + count + ' chosen: show all', false];
            return [picked ? 'All; only the ' + picked + ' selected' : 'All runs', picked === 0];
        },
    });
})();
