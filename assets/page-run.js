// The Run page: jumps to its cards, and the search in its arguments.
(function () {
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});

    Object.assign(prefscope, {
        // Shows the rows that match; a search looks through all arguments. Gives whether there is any.
        runFilter: (search, which) => {
            const words = (search || '').toLowerCase().split(/\s+/).filter(Boolean);
            let shown = 0;
            document.querySelectorAll('#run-arguments tbody tr').forEach((row) => {
                const text = row.textContent.toLowerCase();
                const usual = row.classList.contains('run-usual');
                const matches = words.length ? words.every((word) => text.includes(word)) : which === 'all' || !usual;
                row.hidden = !matches;
                shown += matches ? 1 : 0;
            });
            return shown > 0;
        },
    });

    document.addEventListener('click', (event) => {
        const button = event.target.closest && event.target.closest('.run-jump');
        const card = button && document.getElementById(button.dataset.target);
        if (!card) return;
        const calm = window.matchMedia('(prefers-reduced-motion: reduce)').matches;
        card.scrollIntoView({behavior: calm ? 'auto' : 'smooth', block: 'start'});
        card.focus({preventScroll: true});
    });
})();
