// The small curves and the findings of the Leaderboard's table, which come after its rows.
(function () {
    const {leaderboard} = window.prefscope;
    const {prefscope, board, there, keep, send} = leaderboard;
    const MOST_CURVES = 60;

    // Curves are asked for for the rows in view; a run that goes on has a new one.
    const stampOf = (row) => row.state + ' ' + row.step;
    const ask = () => {
        if (!there() || !board.shown || !board.shown.includes('curve')) return;
        const inView = board.api.getRenderedNodes().map((node) => node.data);
        const now = inView.filter((row) => row && !row.stats && board.asked.get(row.id) !== stampOf(row)).slice(0, MOST_CURVES);
        if (!now.length) return;
        now.forEach((row) => board.asked.set(row.id, stampOf(row)));
        send('wanted', now.map((row) => row.id));
    };
    let timer = 0;
    const later = () => { clearTimeout(timer); timer = setTimeout(ask, 150); };

    Object.assign(prefscope, {
        boardCurves: (content) => {
            if (!content || !there()) return keep();
            const found = JSON.parse(content);
            Object.entries(found).forEach(([id, curve]) => board.curves.set(id, curve));
            const nodes = Object.keys(found).map((id) => board.api.getRowNode(id)).filter(Boolean);
            board.api.refreshCells({rowNodes: nodes, columns: ['curve'], force: true});
            later();
            return keep();
        },

        boardBadges: (content) => {
            if (!content || !board.api) return keep();
            board.sentences = JSON.parse(content).findings;
            board.badges = new Map();
            board.sentences.forEach(({runs}, place) => (runs || [null]).forEach((id) => {
                const known = board.badges.get(id);
                if (known) known.push(place); else board.badges.set(id, [place]);
            }));
            if (there()) board.api.refreshCells({columns: ['findings'], force: true});
            return keep();
        },
    });
    Object.assign(leaderboard, {later});
})();
