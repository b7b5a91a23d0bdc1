// What stands out in the charts of the Curves page: lines that are pinned or pointed at, and the marks below the lines.
(function () {
    const {curves} = window.prefscope;
    const {page, entryOf, element, charts, traces, MAIN, xWords, rows} = curves;

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

    Object.assign(curves, {highlight, light, drawMarks});
})();
