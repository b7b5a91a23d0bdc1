// Loaded before the styles: the page never flashes in the wrong theme.
(function () {
    let saved = null;
    try { saved = localStorage.getItem('theme'); } catch { /* storage is switched off */ }
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    const show = (theme) => document.documentElement.setAttribute('data-bs-theme', theme);
    show(saved === 'dark' || saved === 'light' ? saved : dark.matches ? 'dark' : 'light');
    dark.addEventListener('change', (event) => {
        let chosen = null;
        try { chosen = localStorage.getItem('theme'); } catch { /* as above */ }
        if (!chosen) show(event.matches ? 'dark' : 'light');
    });
})();

// What every page asks for first is asked for now, while the scripts that will ask for it are still being read: Dash's
// layout and callbacks, and the content of the page. Whoever asks for the same in the same words gets this answer.
(function () {
    if (!document.currentScript.hasAttribute('data-early')) return;
    const fetched = window.fetch, early = new Map(), output = '.._pages_content.children..._pages_store.data..';
    const name = (target, body) => body ? String(body).slice(0, output.length + 12) : String(target).split('?')[0];
    const ask = (target, options) => early.set(name(target, options.body), {body: options.body, answer: fetched(target, options)});
    const selected = () => {
        try { return JSON.parse(sessionStorage.getItem('selection')); } catch { return null; /* storage is switched off */ }
    };
    const content = {
        output,
        outputs: [{id: '_pages_content', property: 'children'}, {id: '_pages_store', property: 'data'}],
        inputs: ['pathname', 'search'].map((part) => ({id: '_pages_location', property: part, value: window.location[part]})),
        changedPropIds: ['_pages_location.pathname', '_pages_location.search'],
        parsedChangedPropsIds: ['_pages_location.pathname', '_pages_location.search'],
        state: [{id: 'selection', property: 'data', value: selected()}],
    };
    ask('/_dash-layout', {credentials: 'same-origin'});
    ask('/_dash-dependencies', {credentials: 'same-origin'});
    ask('/_dash-update-component', {
        method: 'POST', credentials: 'same-origin', body: JSON.stringify(content),
        headers: {'Accept': 'application/json', 'Content-Type': 'application/json'},
    });
    window.fetch = (target, options = {}) => {
        const key = name(target, options.body), found = early.get(key);
        early.delete(key);
        if (!early.size) window.fetch = fetched;
        const same = found && found.body === (options.body || undefined);
        return same ? found.answer.catch(() => fetched(target, options)) : fetched(target, options);
    };
})();
