// The controls of the Leaderboard: what decides which rows are seen, the slider of the common beta, the menus.
(function () {
    const {leaderboard} = window.prefscope;
    const {prefscope, board, there, keep, send, make, short} = leaderboard;

    const seeOnly = (search, states, tied) => {
        board.words = (search || '').toLowerCase().split(/\s+/).filter(Boolean);
        board.states = states || [];
        board.tied = Boolean(tied && tied.length);
    };
    const readFilters = () => {
        const checked = (selector) => [...document.querySelectorAll(selector + ' input:checked')].map((box) => box.value);
        const search = document.getElementById('leaderboard-search');
        seeOnly(search && search.value, checked('#leaderboard-status'), checked('#leaderboard-tied'));
    };

    // The slider's place is that of a logarithm.
    const slider = () => {
        const place = document.getElementById('leaderboard-beta-slider');
        if (!place || place.childElementCount) return;
        const range = make('input', 'range'), words = make('output', 'range-words', short(Number(place.dataset.beta)));
        const beta = () => Number((10 ** Number(range.value)).toPrecision(3));
        Object.assign(range, {type: 'range', min: -3, max: 1, step: 0.05, value: Math.log10(Number(place.dataset.beta))});
        range.setAttribute('aria-label', 'Common beta');
        range.addEventListener('input', () => {
            words.textContent = short(beta());
            range.setAttribute('aria-valuetext', words.textContent);
        });
        range.addEventListener('change', () => send('beta', beta()));
        place.append(range, words);
    };

    document.addEventListener('click', (event) => {
        document.querySelectorAll('details.menu[open]').forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
    });
    document.addEventListener('keydown', (event) => {
        const menu = event.key === 'Escape' && event.target.closest && event.target.closest('details.menu[open]');
        if (!menu) return;
        menu.open = false;
        menu.querySelector('summary').focus();
    });

    Object.assign(prefscope, {
        boardFilter: (search, states, tied) => {
            if (!there()) return keep();
            seeOnly(search, states, tied);
            board.api.onFilterChanged();
            return keep();
        },

        boardControls: (rank, at) => [rank !== 'common', at !== 'step'],
    });
    Object.assign(leaderboard, {readFilters, slider});
})();
