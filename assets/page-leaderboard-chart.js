// The chart of the Leaderboard: asked for when it is nearly in view; selected runs stand out, a click selects.
(function () {
    const {leaderboard} = window.prefscope;
    const {prefscope, board, keep, send} = leaderboard;

    const approach = () => {
        const place = document.getElementById('leaderboard-chart-body');
        if (!place) return;
        const seen = new IntersectionObserver((entries) => {
            if (!entries.some((entry) => entry.isIntersecting)) return;
            seen.disconnect();
            send('near', 1);
        }, {rootMargin: '200px'});
        seen.observe(place);
    };
    const highlight = () => {
        const chart = document.querySelector('#leaderboard-scatter .js-plotly-plot');
        if (!chart || !chart.data || !window.Plotly) return;
        const chosen = new Set(board.selected);
        const points = chart.data.map((trace) => {
            const places = (trace.customdata || []).map((id, i) => chosen.has(id) ? i : -1).filter((i) => i >= 0);
            return chosen.size && trace.customdata ? places : null;
        });
        window.Plotly.restyle(chart, {selectedpoints: points});
    };

    Object.assign(prefscope, {
        boardPoint: (click) => {
            const id = click && click.points && click.points[0] && click.points[0].customdata;
            if (!id || !board.api) return keep();
            const chosen = board.selected.includes(id) ? board.selected.filter((other) => other !== id) : [...board.selected, id];
            window.dash_clientside.set_props('run-table', {selectedRows: {ids: chosen}});
            return keep();
        },

        boardHighlight: () => { setTimeout(highlight, 50); return keep(); },
    });
    Object.assign(leaderboard, {approach});
})();
