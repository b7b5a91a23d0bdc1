// The Import drawer: files are dropped anywhere, sent one after the other, each with a line of its own.
(function () {
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});
    const keep = () => window.dash_clientside.no_update;
    const by = (id) => document.getElementById(id);
    const set = (id, props) => window.dash_clientside.set_props(id, props);

    const MEGABYTE = 1048576;
    const LARGEST = 256 * MEGABYTE;   // dashboard/sources/uploads.py
    const SEEN = 6000;                // milliseconds for which a good line stays: the file is in the list then
    const sending = [];
    let busy = false;
    let drops = 0;

    const element = (tag, className, text) => {
        const made = document.createElement(tag);
        made.className = className || '';
        if (text !== undefined) made.textContent = text;
        return made;
    };

    const button = (words, label, act) => {
        const made = element('button', 'btn btn-quiet', words);
        made.type = 'button';
        made.setAttribute('aria-label', label);
        made.addEventListener('click', act);
        return made;
    };

    // One line: its elements are kept, so that a focused button stays focused while the bar moves.
    const line = (item) => {
        const root = element('div', 'import-line');
        const head = element('div', 'import-head');
        const state = element('span', 'dim');
        const bar = element('progress', 'import-bar');
        bar.max = 1;
        bar.setAttribute('aria-label', 'Sending ' + item.name);
        const buttons = element('span', 'import-buttons');
        head.append(element('span', 'file-name', item.name), state, buttons);
        root.append(head, bar);
        return {root, state, bar, buttons, shown: ''};
    };

    const forget = (item) => {
        const at = sending.indexOf(item);
        if (at >= 0) sending.splice(at, 1);
        item.line.root.remove();
        const next = by('import-choose');
        if (next && document.activeElement === document.body) next.focus();
    };

    const words = {
        waiting: () => 'waiting',
        sending: (item) => 'sending ' + Math.floor(100 * item.part) + '%',
        reading: () => 'reading',
        done: (item) => item.sentence,
        problem: (item) => 'Not added: ' + item.sentence,
    };

    const paint = (item) => {
        const line_ = item.line;
        line_.state.textContent = words[item.state](item);
        line_.bar.hidden = item.state !== 'sending' && item.state !== 'reading';
        if (item.state === 'reading') line_.bar.removeAttribute('value'); else line_.bar.value = item.part;
        if (line_.shown === item.state) return;
        line_.shown = item.state;
        line_.root.className = 'import-line import-' + item.state;
        line_.buttons.replaceChildren();
        if (item.state === 'waiting' || item.state === 'sending') {
            line_.buttons.append(button('Cancel', 'Cancel ' + item.name, () => cancel(item)));
        } else if (item.state === 'problem') {
            if (item.again) line_.buttons.append(button('Try again', 'Try again: ' + item.name, () => retry(item)));
            line_.buttons.append(button('Dismiss', 'Dismiss ' + item.name, () => forget(item)));
        }
        place();
    };

    // The drawer's content is made anew each time it opens: the lines are put back.
    const place = () => {
        const box = by('import-sending');
        if (box) sending.forEach((item) => { if (item.line.root.parentElement !== box) box.append(item.line.root); });
    };

    const cancel = (item) => {
        if (item.request) item.request.abort();
        forget(item);
    };

    const retry = (item) => {
        Object.assign(item, {state: 'waiting', part: 0});
        paint(item);
        next();
    };

    const end = (item, state, sentence, again) => {
        Object.assign(item, {state, sentence, again: again || false, request: null});
        paint(item);
        set('import-said', {children: item.name + ': ' + (state === 'problem' ? 'not added. ' : '') + sentence});
        if (state === 'done') {
            item.blob = null;
            setTimeout(() => forget(item), SEEN);
        }
    };

    const answered = (item) => {
        let answer = {};
        try { answer = JSON.parse(item.request.responseText); } catch { /* not from the upload route */ }
        if (answer.id) {
            set('live', {data: answer.version});
            return end(item, 'done', answer.sentence);
        }
        if (item.request.status === 401) return end(item, 'problem', 'Sign in again: reload the page.', true);
        return end(item, 'problem', answer.sentence || 'The server answered with ' + item.request.status + '.', item.request.status >= 500);
    };

    const send = (item) => new Promise((finished) => {
        const request = item.request = new XMLHttpRequest();
        const query = new URLSearchParams({name: item.name, drop: item.drop});
        request.open('POST', '/api/uploads?' + query);
        request.setRequestHeader('Content-Type', 'application/octet-stream');
        request.upload.onprogress = (event) => {
            Object.assign(item, {state: 'sending', part: event.total ? event.loaded / event.total : 1});
            paint(item);
        };
        request.upload.onload = () => { item.state = 'reading'; paint(item); };
        request.onload = () => { answered(item); finished(); };
        request.onerror = () => {
            end(item, 'problem', 'The server could not be reached, or the file changed meanwhile.', true);
            finished();
        };
        request.onabort = finished;
        item.state = 'sending';
        paint(item);
        request.send(item.blob);
    });

    const next = async () => {
        if (busy) return;
        busy = true;
        for (let item; (item = sending.find((one) => one.state === 'waiting'));) await send(item);
        busy = false;
    };

    const add = (named) => {
        const drop = Date.now().toString(36) + '-' + (drops += 1);
        sending.filter((item) => item.state === 'done').forEach(forget);
        named.forEach(({name, blob}) => {
            const item = {name, blob, drop, state: 'waiting', part: 0, request: null};
            item.line = line(item);
            sending.push(item);
            paint(item);
            const size = Math.round(blob.size / MEGABYTE);
            if (blob.size > LARGEST) end(item, 'problem', 'it has ' + size + ' MB, the limit is ' + LARGEST / MEGABYTE + ' MB.');
        });
        next();
    };

    const open = () => set('import-drawer', {is_open: true});
    const has = (event) => event.dataTransfer && [...event.dataTransfer.types].includes('Files');

    const dropped = async (event) => {
        const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry());
        const files = [...event.dataTransfer.files];
        const found = [];
        for (let at = 0; at < Math.max(entries.length, files.length); at += 1) {
            const folder = entries[at] && entries[at].isDirectory;
            try {
                if (folder) found.push(await prefscope.importFolder(entries[at]));
                else if (files[at]) found.push({name: files[at].name, blob: files[at]});
            } catch (problem) {
                set('import-said', {children: String(problem.message || problem)});
                const item = {name: entries[at].name, blob: new Blob(), drop: '', state: 'waiting', part: 0, request: null};
                item.line = line(item);
                sending.push(item);
                end(item, 'problem', String(problem.message || problem));
            }
        }
        add(found);
    };

    let inside = 0;
    const hint = (shown) => { const box = by('import-hint'); if (box) box.hidden = !shown; };
    window.addEventListener('dragenter', (event) => {
        if (!has(event)) return;
        inside += 1;
        hint(true);
        open();
    });
    window.addEventListener('dragleave', (event) => {
        if (!has(event)) return;
        inside = Math.max(0, inside - 1);
        if (!inside) hint(false);
    });
    window.addEventListener('dragover', (event) => { if (has(event)) event.preventDefault(); });
    window.addEventListener('drop', (event) => {
        if (!has(event)) return;
        event.preventDefault();
        inside = 0;
        hint(false);
        open();
        dropped(event);
    });

    const choose = () => {
        const input = element('input');
        input.type = 'file';
        input.multiple = true;
        input.hidden = true;
        document.body.append(input);
        const done = () => { add([...input.files].map((file) => ({name: file.name, blob: file}))); input.remove(); };
        input.addEventListener('change', done);
        input.addEventListener('cancel', () => input.remove());
        input.click();
    };

    document.addEventListener('click', (event) => {
        const at = (selector) => event.target.closest && event.target.closest(selector);
        if (at('#import-choose')) choose();
        else if (at('.import-opener')) open();
    });

    window.addEventListener('beforeunload', (event) => {
        if (sending.some((item) => item.state === 'sending' || item.state === 'waiting')) event.preventDefault();
    });

    Object.assign(prefscope, {
        importPaint: () => { requestAnimationFrame(place); return keep(); },
        // Where the focused button has gone with what it was on: the editor's title, what undoes it, or the first button.
        importFocus: () => {
            requestAnimationFrame(() => {
                const drawer = by('import-drawer');
                const lost = !document.activeElement || document.activeElement === document.body;
                if (!drawer || (!lost && document.activeElement.offsetParent)) return;
                const places = ['#import-mapping:not([hidden]) h2', '#import-listed:not([hidden]) .import-undo button', '#import-choose'];
                const next = places.map((place) => drawer.querySelector(place)).find(Boolean);
                if (next) next.focus();
            });
            return keep();
        },
        importBack: (clicks) => (clicks ? [true, false] : [keep(), keep()]),
        importFind: (text) => {
            const words_ = (text || '').toLowerCase().split(/\s+/).filter(Boolean);
            document.querySelectorAll('.import-row').forEach((row) => {
                row.hidden = !words_.every((word) => row.dataset.name.includes(word));
            });
            return keep();
        },
    });
})();
