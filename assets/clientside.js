// What the browser does by itself: theme, poll, selection, links.
(function () {
    const keep = () => window.dash_clientside.no_update;
    const MOST_IDS = 20;

    const same = (a, b) => a.length === b.length && a.every((item, i) => item === b[i]);

    const rowIds = (selected) => {
        if (!selected) return [];
        return Array.isArray(selected) ? selected.map((row) => row.id) : selected.ids || [];
    };

    const link = (path, values) => {
        if (window.location.pathname !== path) return;
        const query = new URLSearchParams();
        Object.entries(values).forEach(([key, value]) => { if (value) query.set(key, value); });
        const text = query.toString();
        history.replaceState(history.state, '', path + (text ? '?' + text : ''));
    };

    // What Dash's own components, which arrive late, leave without a name for screen readers.
    const NAMES = {'#upload input': 'Log of runs', '#curves-smoothing [role=slider]': 'Smoothing'};
    const nameControls = () => Object.entries(NAMES).forEach(([where, name]) => document
        .querySelectorAll(where).forEach((control) => control.setAttribute('aria-label', name)));

    const idList = (ids) => (ids || []).slice(0, MOST_IDS).map(encodeURIComponent).join(',');

    window.dash_clientside = Object.assign({}, window.dash_clientside, {
        prefscope: {
            poll: async (_, known) => {
                const offline = document.getElementById('offline');
                nameControls();
                try {
                    const answer = await fetch('/api/version', {cache: 'no-store'});
                    if (!answer.ok) throw new Error(answer.status);
                    const version = await answer.text();
                    offline.classList.remove('shown');
                    return version === known ? keep() : version;
                } catch {
                    offline.classList.add('shown');
                    return keep();
                }
            },

            toggleTheme: () => {
                const root = document.documentElement;
                const theme = root.getAttribute('data-bs-theme') === 'dark' ? 'light' : 'dark';
                root.setAttribute('data-bs-theme', theme);
                try { localStorage.setItem('theme', theme); } catch { /* storage is switched off */ }
                return keep();
            },

            selectRows: (selected, known) => {
                const ids = rowIds(selected);
                const words = ids.length === 0 ? 'Select runs to see their curves.'
                    : ids.length === 1 ? '1 run selected' : ids.length + ' runs selected';
                return [same(ids, known || []) ? keep() : ids, words];
            },

            selectPoint: (click, selected) => {
                const id = click && click.points && click.points[0] && click.points[0].customdata;
                if (!id) return keep();
                const ids = rowIds(selected);
                return {ids: ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id]};
            },

            pinWhereWide: () => {
                if (window.innerWidth >= 640) {
                    window.dash_ag_grid.getApiAsync('run-table').then((grid) => grid.setColumnsPinned(['rank', 'name'], 'left'));
                }
                return keep();
            },

            linkLeaderboard: (rank, at, selected) => {
                link('/', {rank: rank === 'auto' ? '' : rank, at: at === 'best' ? '' : at, runs: idList(rowIds(selected))});
                return keep();
            },

            linkCurves: (ids, split, x, smoothing, unit, known) => {
                link('/curves', {
                    runs: idList(ids), split: split === 'eval' ? '' : split, x: x === 'step' ? '' : x,
                    smooth: smoothing || '', unit: unit === 'reward' ? '' : unit,
                });
                return same(ids || [], known || []) ? keep() : ids || [];
            },
        },
    });

    // dcc.Upload drops a file that is too large without a word.
    const tooLarge = (files, event) => {
        const zone = event.target.closest && event.target.closest('#upload');
        const limit = 24 * 1024 * 1024;
        const large = zone && [...(files || [])].find((file) => file.size > limit);
        if (!large) return;
        const megabytes = Math.round(large.size / 1048576);
        window.dash_clientside.set_props('upload-message', {
            children: 'Not added: ' + large.name + ' has ' + megabytes + ' MB, the limit is 24 MB. Export fewer runs or columns.',
        });
    };
    document.addEventListener('change', (event) => tooLarge(event.target.files, event), true);
    document.addEventListener('drop', (event) => tooLarge(event.dataTransfer && event.dataTransfer.files, event), true);
})();
