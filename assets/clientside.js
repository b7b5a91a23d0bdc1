// What the browser does by itself: theme, poll, selection, links.
(function () {
    const keep = () => window.dash_clientside.no_update;
    const MOST_IDS = 200;

    const same = (a, b) => a.length === b.length && a.every((item, i) => item === b[i]);

    const link = (path, values) => {
        if (window.location.pathname !== path) return;
        const query = new URLSearchParams();
        Object.entries(values).forEach(([key, value]) => { if (value) query.set(key, value); });
        const text = query.toString();
        history.replaceState(history.state, '', path + (text ? '?' + text : ''));
    };

    // What Dash's own components, which arrive late, leave without a name for screen readers: the name of their group.
    const UNNAMED = '.control[aria-label] :is([role=slider], input, select):not([aria-label], [type=radio], [type=checkbox])';
    let labels = 0;
    const nameControls = () => {
        document.querySelectorAll(UNNAMED).forEach((control) => {
            control.removeAttribute('aria-hidden');
            control.setAttribute('aria-label', control.closest('.control').getAttribute('aria-label'));
        });
        document.querySelectorAll('.control .dash-dropdown[aria-labelledby]').forEach((button) => {
            const label = button.closest('.control').querySelector('.control-label');
            label.id = label.id || 'control-label-' + (labels += 1);
            const names = button.getAttribute('aria-labelledby');
            if (!names.split(' ').includes(label.id)) button.setAttribute('aria-labelledby', label.id + ' ' + names);
        });
    };
    let naming = null;
    new MutationObserver(() => {
        naming = naming || requestAnimationFrame(() => { naming = null; nameControls(); });
    }).observe(document.documentElement, {childList: true, subtree: true});

    const idList = (ids) => (ids || []).slice(0, MOST_IDS).map(encodeURIComponent).join(',');

    // The address of a page that is open: other parameters than the defaults, lists as ids.
    const written = (value) => Array.isArray(value) ? idList(value)
        : value && Array.isArray(value.ids) ? idList(value.ids)
            : value && typeof value === 'object' ? JSON.stringify(value) : value;

    window.dash_clientside = window.dash_clientside || {};
    const prefscope = window.dash_clientside.prefscope = window.dash_clientside.prefscope || {};
    Object.assign(prefscope, {
        // Arguments: the values of components.link's parameters, then its store.
        link: (...all) => {
            const spec = all.pop();
            if (!spec) return keep();
            const values = {};
            spec.names.forEach((name, i) => {
                const value = all[i];
                const usual = value === undefined || value === null || JSON.stringify(value) === JSON.stringify(spec.defaults[i]);
                values[name] = usual ? '' : written(value);
            });
            link(spec.path, values);
            return keep();
        },

        toggleTheme: () => {
            const root = document.documentElement;
            const theme = root.getAttribute('data-bs-theme') === 'dark' ? 'light' : 'dark';
            root.setAttribute('data-bs-theme', theme);
            try { localStorage.setItem('theme', theme); } catch { /* storage is switched off */ }
            return keep();
        },

        select: (ids, known) => same(ids || [], known || []) ? keep() : ids || [],
    });

    // Sets a component's data only while Dash has it: for some 50 ms after a page was left its elements are still there,
    // but Dash has let go of its components and set_props throws.
    prefscope.send = (id, data) => {
        try {
            if (!window.dash_component_api.getLayout(id).props) return;
        } catch {
            return;
        }
        window.dash_clientside.set_props(id, {data});
    };

    // The look for news. Not by a component: Dash keeps each tick of its Interval for an undo that nobody is offered, and a
    // day has 43,200. Not at once: the page has just been made of what there is.
    const live = prefscope.live = {every: 2000, version: null, looks: 0};
    const look = async () => {
        const offline = document.getElementById('offline');
        if (!offline) return;
        live.looks += 1;
        try {
            const answer = await fetch('/api/version', {cache: 'no-store'});
            if (answer.status === 401) window.location.assign('/login');
            if (!answer.ok) throw new Error(answer.status);
            const version = await answer.text();
            offline.classList.remove('shown');
            if (version === live.version) return;
            live.version = version;
            prefscope.send('live', version);
        } catch {
            offline.classList.add('shown');
        }
    };
    const again = () => setTimeout(() => look().finally(again), live.every);
    again();

    // The report on what the page's address names; a problem is told where errors are told.
    document.addEventListener('click', async (event) => {
        const button = event.target.closest && event.target.closest('#report-button');
        if (!button || button.disabled) return;
        const words = button.textContent;
        button.disabled = true;
        button.textContent = 'Making the report';
        const query = new URLSearchParams(window.location.search);
        const run = window.location.pathname.startsWith('/run/') && window.location.pathname.slice(5);
        const wanted = new URLSearchParams();
        ['runs', 'at', 'beta'].forEach((key) => { if (query.get(key)) wanted.set(key, query.get(key)); });
        if (run) wanted.set('runs', run);
        try {
            const answer = await fetch('/api/report?' + wanted);
            if (!answer.ok) throw new Error(await answer.text());
            const file = document.createElement('a');
            file.href = URL.createObjectURL(await answer.blob());
            file.download = (answer.headers.get('Content-Disposition') || '').split('"')[1] || 'prefscope.html';
            file.click();
            setTimeout(() => URL.revokeObjectURL(file.href), 10000);
        } catch (problem) {
            window.dash_clientside.set_props('error-toast', {is_open: true, header: 'No report', children: problem.message});
        }
        button.disabled = false;
        button.textContent = words;
    });

    // Buttons of components.layout.copyable.
    document.addEventListener('click', async (event) => {
        const button = event.target.closest && event.target.closest('.copy-button');
        if (!button) return;
        const words = button.textContent;
        try {
            await navigator.clipboard.writeText(button.parentElement.querySelector('.copy-text').textContent);
            button.textContent = 'Copied';
        } catch {
            const range = document.createRange();
            range.selectNodeContents(button.parentElement.querySelector('.copy-text'));
            window.getSelection().removeAllRanges();
            window.getSelection().addRange(range);
            button.textContent = 'Selected: press Ctrl+C';
        }
        setTimeout(() => { button.textContent = words; }, 2000);
    });
})();
