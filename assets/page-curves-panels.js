// The panels of the Curves page: one zoom for all, fetched when they come into view; what Dash calls.
(function () {
    const {curves} = window.prefscope;
    const {page, send, same, charts, buildLegend, highlight, drawMarks} = curves;
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});
    const keep = () => window.dash_clientside.no_update;

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
        send('curves-zoom', page.zoom);
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
        if (panel.isConnected) send({type: 'curves-seen', panel: panel.dataset.panel}, change.isIntersecting);
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

    Object.assign(curves, {zoomTo});
})();
