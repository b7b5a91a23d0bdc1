// The Leaderboard's table: begun with the page, brought up to date with what the server sends.
(function () {
    const {leaderboard} = window.prefscope;
    const {prefscope, fresh, board, keep, send, isNarrow} = leaderboard;
    const {approach, define, visible, arrange, moved, readFilters, slider, later} = leaderboard;
    const {receive, apply, passes, regroup, tell, selected, recheck, options, pressed} = leaderboard;

    const sorted = () => {
        const by = board.api.getColumnState().filter((column) => column.sort).sort((a, b) => a.sortIndex - b.sortIndex);
        send('sort', by.map((column) => (column.sort === 'desc' ? '-' : '') + column.colId).join(' ') || null);
    };
    const sortBy = (words) => board.api.applyColumnState({state: words.split(' ').filter(Boolean).map((field, i) => ({
        colId: field.replace(/^-/, ''), sort: field.startsWith('-') ? 'desc' : 'asc', sortIndex: i,
    }))});
    const filtered = () => {
        if (board.quiet) return;
        const model = board.api.getFilterModel();
        send('filter', Object.keys(model).length ? model : null);
    };
    const listen = (api) => {
        api.addEventListener('selectionChanged', () => setTimeout(selected, 5));
        api.addEventListener('sortChanged', sorted);
        api.addEventListener('filterChanged', filtered);
        api.addEventListener('cellKeyDown', pressed);
        api.addEventListener('modelUpdated', recheck);
        ['columnMoved', 'columnResized'].forEach((name) => api.addEventListener(name, (event) => { if (event.finished !== false) moved(event); }));
        ['viewportChanged', 'modelUpdated', 'bodyScrollEnd'].forEach((name) => api.addEventListener(name, later));
    };
    const painted = () => requestAnimationFrame(() => setTimeout(() => send('painted', board.stamp), 60));

    const begin = (api, sent, sort, filter, columns, start) => {
        Object.assign(board, fresh(), {api, columns: sent.columns, stamp: sent.stamp});
        const rows = receive(sent);
        Object.entries({
            isExternalFilterPresent: () => true, doesExternalFilterPass: passes, postSortRows: regroup, ...options(isNarrow()),
        }).forEach(([name, option]) => api.setGridOption(name, option));
        readFilters();
        define();
        arrange(visible(columns));
        if (sort) sortBy(sort);
        api.setGridOption('rowData', rows);
        if (filter) try { api.setFilterModel(filter); } catch { /* a filter of a link that is none */ }
        tell((start || []).filter((id) => board.rows.has(id)));
        listen(api);
        later();
        slider();
        approach();
        painted();
    };
    const again = (sent) => {
        const before = JSON.stringify(board.columns);
        board.stamp = sent.stamp;
        const rows = receive(sent);
        if (JSON.stringify(sent.columns) !== before) {
            board.columns = sent.columns;
            define();
            arrange(visible(null));
        }
        board.api.setGridOption('rowData', rows);
        board.api.refreshCells({force: true});
        later();
        painted();
    };
    const next = (sent) => {
        if (sent.base !== board.stamp) {
            send('stamp', '');
            send('again', Date.now());
            return;
        }
        apply(sent);
        board.stamp = sent.stamp;
        later();
        painted();
    };

    Object.assign(prefscope, {
        boardShow: (content, sort, filter, columns, start) => {
            if (!content) return keep();
            window.dash_ag_grid.getApiAsync('run-table').then((api) => {
                const sent = JSON.parse(content);
                if (board.api === api) return sent.base ? next(sent) : again(sent);
                if (!sent.base) begin(api, sent, sort, filter, columns, start);
            });
            return keep();
        },
    });
})();
