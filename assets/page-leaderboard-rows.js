// The rows of the Leaderboard's table: runs and groups of runs, which of them are seen, and in what order.
(function () {
    const {leaderboard} = window.prefscope;
    const {board, missing} = leaderboard;
    const METRICS = ['accuracy', 'loss', 'common', 'calibrated', 'margin', 'gold', 'repetition'];
    const SEARCHED = ['name', 'set', 'sweep', 'source'];
    const OFTEN = 500;

    const expanded = (values) => {
        const row = {};
        board.fields.forEach((field, i) => { row[field] = values[i]; });
        return row;
    };
    const grouped = (line) => {
        const row = {...line, state: '', versus: '', low: null, high: null};
        METRICS.forEach((field) => { row[field] = Array.isArray(line.stats[field]) ? line.stats[field][1] : null; });
        return row;
    };
    // One scale for all interval bars; whether it has changed.
    const rescale = () => {
        let [low, high] = [Infinity, -Infinity];
        board.rows.forEach((row) => {
            if (missing(row.low)) return;
            low = Math.min(low, row.low);
            high = Math.max(high, row.high);
        });
        const scale = low < high ? [low, high] : [0, 1];
        const changed = scale[0] !== board.scale[0] || scale[1] !== board.scale[1];
        board.scale = scale;
        return changed;
    };

    // All rows anew, those of a group below it.
    const receive = (sent) => {
        board.fields = sent.fields;
        board.searched = sent.columns.map((column) => column.field).filter((field) => field.startsWith('config.') || SEARCHED.includes(field));
        board.rows = new Map(sent.rows.map((values) => [values[0], expanded(values)]));
        board.groups = sent.groups.map(grouped);
        board.parent = new Map(sent.groups.flatMap((group) => group.runs.map((id) => [id, group.id])));
        rescale();
        if (!board.groups.length) return [...board.rows.values()];
        const own = new Map(board.groups.map((group) => [group.id, [group]]));
        board.rows.forEach((row) => (own.get(board.parent.get(row.id)) || []).push(row));
        return [...own.values()].flat();
    };
    // Rows that have changed, of a table without groups.
    const apply = (sent) => {
        const [add, update] = [[], []];
        sent.rows.forEach((values) => {
            const row = expanded(values);
            (board.rows.has(row.id) ? update : add).push(row);
            board.rows.set(row.id, row);
        });
        const remove = sent.gone.map((id) => board.rows.get(id)).filter(Boolean);
        sent.gone.forEach((id) => board.rows.delete(id));
        const redraw = rescale();
        if (sent.order) {
            board.rows = new Map(sent.order.map((id) => [id, board.rows.get(id)]));
            board.api.setGridOption('rowData', [...board.rows.values()]);
        } else {
            board.api.applyTransaction({add, update, remove});
        }
        if (redraw) board.api.refreshCells({columns: ['accuracy'], force: true});
        tidy(update);
        [...add, ...update].forEach((row) => board.asked.delete(row.id));
    };

    // React keeps all that a cell was told while it stays as it is, for days: rows that change often are drawn anew, unless in use.
    const inUse = (id) => document.querySelector(`#run-table .ag-row[row-id="${CSS.escape(id)}"]:is(:hover, :focus-within)`);
    const tidy = (rows) => rows.forEach(({id}) => {
        board.told.set(id, (board.told.get(id) || 0) + 1);
        if (board.told.get(id) < OFTEN || inUse(id)) return;
        board.told.delete(id);
        board.api.redrawRows({rowNodes: [board.api.getRowNode(id)]});
    });

    // Which rows are seen: a group with any of its runs that passes.
    const text = (row) => row.searched || (row.searched = board.searched
        .map((field) => field.replace('config.', '') + '=' + row[field] + ' ' + row[field]).join(' ').toLowerCase());
    const wanted = (row) => (!board.states.length || board.states.includes(row.state.split(',')[0]))
        && (!board.tied || row.versus === 'best' || row.versus === 'tied')
        && board.words.every((word) => text(row).includes(word));
    const passes = ({data}) => data.stats ? data.runs.some((id) => board.rows.has(id) && wanted(board.rows.get(id))) : wanted(data);

    // After any sort the runs of an open group stand below it, those of the others are taken out: ag-grid shows what is left
    // of `nodes`, and goes on to count the others as passing the filters.
    const regroup = ({nodes}) => {
        board.members = new Map();
        if (!board.groups.length) return;
        const groups = new Set();
        nodes.forEach((node) => {
            const group = board.parent.get(node.id);
            if (group === undefined) groups.add(node.id);
            else if (board.members.has(group)) board.members.get(group).push(node);
            else board.members.set(group, [node]);
        });
        const below = (id) => board.open.has(id) && board.members.get(id) || [];
        const shown = nodes.filter((node) => groups.has(node.id)).flatMap((node) => [node, ...below(node.id)]);
        const alone = [...board.members.keys()].filter((id) => !groups.has(id)).flatMap(below);
        nodes.length = 0;
        shown.concat(alone).forEach((node) => nodes.push(node));
    };
    const toggle = (row) => {
        board.open.has(row.id) ? board.open.delete(row.id) : board.open.add(row.id);
        board.api.refreshClientSideRowModel('sort');
        board.api.refreshCells({rowNodes: [board.api.getRowNode(row.id)], columns: ['name'], force: true});
    };

    Object.assign(leaderboard, {receive, apply, passes, regroup, toggle});
})();
