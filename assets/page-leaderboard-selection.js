// Which runs of the Leaderboard's table are selected; a group's checkbox stands for its runs that pass the filters.
(function () {
    const {leaderboard} = window.prefscope;
    const {prefscope, board, there, make, cell} = leaderboard;
    const COLUMN = 'ag-Grid-SelectionColumn';

    const tell = (ids) => {
        board.selected = ids;
        window.dash_clientside.set_props('selection', {data: ids});
    };
    const selected = () => {
        if (!there()) return;
        const found = board.api.getSelectedNodes().map((node) => node.id).filter((id) => board.rows.has(id));
        if (found.length !== board.selected.length || found.some((id, i) => id !== board.selected[i])) tell(found);
        recheck();
    };

    // All, some or none of the runs of a group.
    const share = (group) => {
        const own = board.members.get(group) || [], n = own.filter((node) => node.isSelected()).length;
        return {own, all: own.length > 0 && n === own.length, some: n > 0 && n < own.length};
    };
    const toggle = (group) => {
        const {own, all} = share(group);
        board.api.setNodesSelected({nodes: own, newValue: !all});
    };
    const recheck = () => {
        const nodes = board.groups.map((group) => board.api.getRowNode(group.id)).filter(Boolean);
        if (nodes.length) board.api.refreshCells({rowNodes: nodes, columns: [COLUMN], force: true});
    };

    // Drawn as ag-grid draws its own.
    const box = cell((row) => {
        const {own, all, some} = share(row.id), input = make('input', 'ag-input-field-input ag-checkbox-input');
        Object.assign(input, {type: 'checkbox', checked: all, indeterminate: some, disabled: !own.length, tabIndex: -1});
        input.setAttribute('aria-label', 'Select the runs of ' + row.name);
        input.addEventListener('change', () => toggle(row.id));
        return make('div', 'ag-wrapper ag-input-wrapper ag-checkbox-input-wrapper' + (all ? ' ag-checked' : some ? ' ag-indeterminate' : ''), input);
    });
    const isRun = ({data}) => !data || !data.stats;
    const options = (narrow) => ({
        selectionColumnDef: {
            pinned: narrow ? null : 'left', width: narrow ? 36 : 44,
            cellRendererSelector: (params) => isRun(params) ? undefined : {component: box},
        },
        rowSelection: {mode: 'multiRow', checkboxes: isRun, headerCheckbox: true, selectAll: 'filtered', isRowSelectable: isRun},
    });

    // Of the cell that has the focus: space selects the runs of a group, enter opens it or follows a run's name.
    const pressed = ({event, data}) => {
        if (event.key === ' ' && data.stats) toggle(data.id);
        const inside = event.key === 'Enter' && event.target.querySelector('.group-toggle, .run-link');
        if (inside) inside.click();
    };

    Object.assign(prefscope, {
        boardSelection: (ids) => {
            const chosen = Array.isArray(ids) ? ids : [], n = chosen.length;
            const words = n === 0 ? 'Select runs to see their curves.' : n === 1 ? '1 run selected' : n + ' runs selected';
            const query = n ? '?runs=' + chosen.slice(0, 200).map((id) => encodeURIComponent(encodeURIComponent(id))).join(',') : '';
            const some = (low, high) => n >= low && n <= high;
            const style = (main, on) => (main ? 'btn btn-main' : 'btn btn-quiet btn-tall') + (on ? '' : ' disabled');
            return [words, '/curves' + query, '/compare' + query, '/pairs' + query, '/hyperparameters' + query,
                style(true, true), style(false, some(2, 6)), style(false, n > 0), style(false, n === 0 || n > 1)];
        },
    });
    Object.assign(leaderboard, {tell, selected, recheck, options, pressed});
})();
