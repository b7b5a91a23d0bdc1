// The columns of the Leaderboard's table: how each is drawn and sorted, which are shown and in what order.
(function () {
    const {leaderboard} = window.prefscope;
    const {board, send, isNarrow, make, missing, renderer, findingsOf} = leaderboard;
    const STORED = 'leaderboard-columns';
    const WORDY = ['name', 'versus', 'text', 'state', 'findings', 'curve'], UNFILTERED = ['rank', 'curve', 'findings'];

    // What is missing is last, whichever way is up.
    const compare = (a, b, nodeA, nodeB, descending) => {
        const none = (x) => missing(x) || x === '' || x === '–';
        if (none(a) || none(b)) return none(a) === none(b) ? 0 : (none(a) ? 1 : -1) * (descending ? -1 : 1);
        if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
        return typeof a === 'number' ? -1 : 1;
    };
    const WEIGHTS = {bad: 1e6, warning: 1e3, info: 1};
    const weight = (id) => findingsOf(id).reduce((sum, place) => sum + WEIGHTS[board.sentences[place].severity], 0);
    const findingTip = ({data}) => !data || data.stats ? ''
        : findingsOf(data.id).map((place) => '• ' + board.sentences[place].sentence).join('\n');

    const definition = ({field, kind, name, tip, width}) => {
        const narrow = isNarrow(), numeric = !WORDY.includes(kind);
        const shown = {
            colId: field, headerName: name, headerTooltip: tip, width, comparator: compare,
            valueGetter: kind === 'curve' ? null : ({data}) => data[field],
            filter: UNFILTERED.includes(kind) ? false : numeric ? 'agNumberColumnFilter' : 'agTextColumnFilter',
            cellRenderer: renderer(kind, field), sortable: kind !== 'curve',
        };
        if (numeric) Object.assign(shown, {type: 'rightAligned'});
        if (kind === 'name') Object.assign(shown, {minWidth: 110, width: narrow ? 130 : width, pinned: narrow ? null : 'left'});
        if (kind === 'accuracy' && narrow) Object.assign(shown, {width: 150});
        if (kind === 'rank') Object.assign(shown, {minWidth: 36, width: narrow ? 40 : width, pinned: narrow ? null : 'left'});
        if (kind === 'findings') Object.assign(shown, {tooltipValueGetter: findingTip, valueGetter: ({data}) => weight(data.id)});
        return shown;
    };
    const define = () => {
        board.quiet = true;
        board.api.setGridOption('columnDefs', board.columns.map(definition));
        board.quiet = false;
    };

    // Columns: as they are usually, as this browser remembers them, as the link says.
    const remembered = () => { try { return JSON.parse(localStorage.getItem(STORED)) || {}; } catch { return {}; } };
    const remember = (state) => { try { localStorage.setItem(STORED, JSON.stringify(state)); } catch { /* storage is switched off */ } };
    const usual = () => board.columns.filter((column) => column.usual).map((column) => column.field);
    const visible = (linked) => {
        const known = new Set(board.columns.map((column) => column.field));
        if (linked && linked.length) return linked.filter((field) => known.has(field));
        const {order, hidden = [], added = []} = remembered();
        const fields = board.columns.filter((column) => (column.usual || added.includes(column.field)) && !hidden.includes(column.field)).map((column) => column.field);
        if (!order) return fields;
        const place = (field) => order.includes(field) ? order.indexOf(field) : order.length + fields.indexOf(field);
        return fields.sort((a, b) => place(a) - place(b));
    };
    const arrange = (fields) => {
        const {widths = {}} = remembered(), narrow = isNarrow();
        const others = board.columns.map((column) => column.field).filter((field) => !fields.includes(field));
        board.quiet = true;
        board.api.applyColumnState({applyOrder: true, state: [...fields, ...others].map((field) => ({
            colId: field, hide: !fields.includes(field), ...(widths[field] && !narrow ? {width: widths[field]} : {}),
        }))});
        board.quiet = false;
        board.shown = fields;
        list();
        announce();
    };
    const announce = () => {
        const same = JSON.stringify(board.shown) === JSON.stringify(usual());
        send('columns', same ? null : board.shown);
    };

    // What the user changes is remembered: order and widths by the pointer, the choice in the menu.
    const moved = (event) => {
        if (board.quiet || event.source === 'api') return;
        const state = board.api.getColumnState().filter((column) => board.columns.some((known) => known.field === column.colId));
        const fields = state.filter((column) => !column.hide).map((column) => column.colId);
        const kept = remembered(), widths = {...kept.widths};
        state.forEach((column) => {
            const own = board.columns.find((known) => known.field === column.colId);
            if (event.type === 'columnResized' && Math.abs(column.width - own.width) > 1) widths[column.colId] = column.width;
        });
        board.shown = fields;
        keepColumns({...kept, widths});
    };
    const keepColumns = (kept) => {
        const now = new Set(board.shown);
        const hidden = new Set(kept.hidden), added = new Set(kept.added);
        board.columns.forEach(({field, usual: common}) => {
            hidden.delete(field);
            added.delete(field);
            if (common && !now.has(field)) hidden.add(field);
            if (!common && now.has(field)) added.add(field);
        });
        remember({...kept, order: board.shown, hidden: [...hidden], added: [...added]});
        list();
        announce();
    };
    const choose = (field, on) => {
        const order = board.api.getColumnState().map((state) => state.colId);
        board.quiet = true;
        board.api.setColumnsVisible([field], on);
        board.quiet = false;
        const now = new Set(on ? [...board.shown, field] : board.shown.filter((other) => other !== field));
        board.shown = order.filter((other) => now.has(other));
        keepColumns(remembered());
        leaderboard.later();
    };
    const entry = (column) => {
        const box = make('input');
        Object.assign(box, {type: 'checkbox', value: column.field, checked: board.shown.includes(column.field), disabled: column.field === 'name'});
        box.addEventListener('change', () => choose(column.field, box.checked));
        const label = make('label', 'menu-check', box, make('span', '', column.name));
        label.title = column.tip;
        return label;
    };
    const list = () => {
        const place = document.getElementById('leaderboard-columns-list');
        if (!place) return;
        if (place.childElementCount === board.columns.length && place.contains(document.activeElement)) {
            place.querySelectorAll('input').forEach((box) => { box.checked = board.shown.includes(box.value); });
            return;
        }
        place.replaceChildren(...board.columns.map(entry));
    };

    document.addEventListener('click', (event) => {
        if (event.target.id !== 'leaderboard-columns-reset' || !board.api) return;
        remember({});
        define();
        board.quiet = true;
        board.api.resetColumnState();
        arrange(usual());
    });

    Object.assign(leaderboard, {define, visible, arrange, moved});
})();
