// The Leaderboard's table to take elsewhere: the server writes what is shown, the browser saves or copies it.
(function () {
    const {prefscope, board, there, keep, send, make} = window.prefscope.leaderboard;

    document.addEventListener('click', (event) => {
        const button = event.target.closest && event.target.closest('[data-export]');
        if (!button || !there()) return;
        const rows = [];
        board.api.forEachNodeAfterFilterAndSort((node) => rows.push(node.id));
        send('export', {kind: button.dataset.export, use: button.dataset.use, rows, fields: board.shown, at: Date.now()});
    });

    const save = (text, name) => {
        const link = make('a');
        link.href = URL.createObjectURL(new Blob([text], {type: 'text/plain;charset=utf-8'}));
        link.download = name;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 1000);
        return 'Downloaded as ' + name + '.';
    };
    const copy = (text) => navigator.clipboard
        ? navigator.clipboard.writeText(text).then(() => 'Copied.', () => 'The browser did not allow it; download it instead.')
        : 'The browser allows copying only over https or on this machine; download it instead.';

    Object.assign(prefscope, {
        boardExported: (found) => !found ? keep() : found.use === 'download' ? save(found.text, found.name) : copy(found.text),
    });
})();
