// The cells of the Leaderboard's table: plain elements, for React's take several times as long.
(function () {
    const {leaderboard} = window.prefscope;
    const {board, make, colour, swatch, missing, fixed, metric, percent, WORDS} = leaderboard;

    const cell = (draw) => class {
        init(params) { this.element = make('div', 'board-cell'); this.refresh(params); }
        getGui() { return this.element; }
        refresh(params) {
            const drawn = params.data ? draw(params.data, params.value) : '';
            this.element.replaceChildren(...(Array.isArray(drawn) ? drawn : [drawn]));
            return true;
        }
    };
    const follow = (event, href) => {
        if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey || event.button) return;
        event.preventDefault();
        history.pushState({}, '', href);
        window.dispatchEvent(new CustomEvent('_dashprivate_pushstate'));
        window.scrollTo(0, 0);
    };

    // A group: its name opens it, its values are means with their spread.
    const groupName = (row) => {
        const open = board.open.has(row.id);
        const button = make('button', 'group-toggle', make('span', open ? 'caret caret-open' : 'caret'),
            make('span', 'run-label', row.name), make('span', 'group-count', String(row.runs.length)));
        button.type = 'button';
        button.title = row.name + ', ' + row.runs.length + ' runs' + (row.best ? '; best: ' + row.best : '');
        button.setAttribute('aria-expanded', String(open));
        button.addEventListener('click', () => leaderboard.toggle(row));
        return button;
    };
    const spread = (row, field, show) => {
        const found = row.stats[field];
        if (!Array.isArray(found)) return null;
        const [n, mean, sd, low, high] = found;
        if (n < 2) return {main: show(mean), sub: '1 run'};
        const off = show === percent ? fixed(100 * sd, 1) + ' points' : show(sd);
        const sure = low === undefined ? '. They are not known to differ by their seeds alone: how far they spread, not how sure the mean is'
            : '; 95% interval of the mean over seeds ' + show(low) + ' to ' + show(high) + ' (Student)';
        return {main: show(mean), sub: '± ' + off, tip: 'Mean of ' + n + ' runs ' + show(mean) + ', standard deviation ' + off + sure, low, high};
    };
    const groupValue = (row, field, show) => {
        const found = spread(row, field, show);
        if (!found) {
            const none = make('span', 'dim', '–');
            none.title = row.stats[field] || '';
            return none;
        }
        const shown = make('span', 'group-value', make('span', '', found.main), make('span', 'accuracy-interval', found.sub));
        shown.title = found.tip || '';
        return shown;
    };

    const bar = (low, high, value, colour) => {
        const [from, to] = board.scale, place = (x) => 100 * (x - from) / (to - from);
        if (missing(low) || typeof value !== 'number' || to <= from) return null;
        const range = make('div', 'interval-bar'), point = make('div', 'interval-point');
        const left = Math.max(0, place(low)), right = Math.min(100, place(high));
        Object.assign(range.style, {left: left + '%', width: Math.max(1, right - left) + '%', background: colour});
        Object.assign(point.style, {left: place(value) + '%', background: colour});
        const track = make('div', 'interval-track', range, point);
        track.setAttribute('aria-hidden', 'true');
        return track;
    };
    const accuracy = (row, value) => {
        const own = {main: percent(value), sub: missing(row.low) ? '' : percent(row.low) + ' – ' + percent(row.high), low: row.low, high: row.high};
        const found = row.stats ? spread(row, 'accuracy', percent) : own;
        if (!found) return '–';
        const line = make('div', 'accuracy-line', make('span', 'accuracy-interval', found.sub), make('span', '', found.main));
        const shown = make('div', 'accuracy', line, bar(found.low, found.high, value, row.stats ? 'var(--dim)' : colour(row.slot || 0)));
        shown.title = found.tip || '';
        return shown;
    };

    const line = (points) => {
        const space = 'http://www.w3.org/2000/svg', levels = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
        const picture = document.createElementNS(space, 'svg');
        picture.setAttribute('viewBox', '0 0 96 28');
        picture.setAttribute('class', 'spark');
        picture.setAttribute('aria-hidden', 'true');
        let path = '', pen = 'M';
        [...points].forEach((level, i) => {
            const height = levels.indexOf(level);
            if (height < 0) { pen = 'M'; return; }
            path += pen + (2 + 92 * i / Math.max(1, points.length - 1)).toFixed(1) + ' ' + (25 - 22 * height / 61).toFixed(1);
            pen = 'L';
        });
        const drawn = document.createElementNS(space, 'path');
        drawn.setAttribute('d', path);
        picture.append(drawn);
        return picture;
    };

    // What the checks have found in a run: places in board.sentences.
    const findingsOf = (id) => (board.badges.get(id) || []).concat(board.badges.get(null) || []);

    const CELLS = {
        rank: cell((row, own) => WORDS.rank(own)),
        name: cell((row) => {
            if (row.stats) return groupName(row);
            const name = make('a', 'run-name run-link' + (board.parent.size ? ' in-group' : ''), swatch(row.slot), make('span', 'run-label', row.name));
            name.href = '/run/' + encodeURIComponent(row.id);
            name.title = row.problem || row.name;
            name.addEventListener('click', (event) => follow(event, name.href));
            return name;
        }),
        accuracy: cell(accuracy),
        versus: cell((row, own) => own ? make('span', 'chip chip-' + own, own) : row.stats ? '' : make('span', 'dim', '–')),
        findings: cell((row) => {
            if (row.stats) return make('span', 'finding-badges');
            const found = findingsOf(row.id);
            const parts = ['bad', 'warning', 'info'].map((severity) => {
                const own = found.filter((place) => board.sentences[place].severity === severity);
                if (!own.length) return null;
                const badge = make('span', 'badge-pill badge-' + severity, String(own.length));
                badge.setAttribute('aria-label', own.length + ' ' + {bad: 'grave', warning: 'of some weight', info: 'to know'}[severity]);
                return badge;
            });
            return make('span', 'finding-badges', ...parts);
        }),
        curve: cell((row) => {
            const [points, words] = board.curves.get(row.id) || ['', ''];
            if (!points) return '';
            const shown = make('span', 'spark-box', line(points));
            shown.title = words;
            shown.setAttribute('role', 'img');
            shown.setAttribute('aria-label', words);
            return shown;
        }),
        loss: cell((row, own) => {
            if (row.stats) return groupValue(row, 'loss', metric);
            const shown = make('span', row.worse ? 'worse' : '', (row.worse ? '▲ ' : '') + metric(own));
            if (row.worse) shown.title = 'Above the loss of the model before training';
            return shown;
        }),
        state: cell((row, own) => {
            if (row.stats) return '';
            const status = own.split(',')[0];
            const shown = make('span', 'state', make('span', 'dot dot-' + status + (own.includes('no news') ? ' dot-quiet' : '')), make('span', 'run-label', own));
            shown.title = row.problem || own;
            const done = /(\d+)%/.exec(own);
            if (done) {
                const full = make('span', 'state-done');
                full.style.width = done[1] + '%';
                shown.append(make('span', 'state-bar', full));
            }
            return shown;
        }),
    };

    // The cell of a column of this kind; of a group it shows what there is of the field.
    const renderer = (kind, field) => CELLS[kind] || cell((row, own) => {
        if (!row.stats) return WORDS[kind](own, row);
        if (field === 'set') return WORDS[kind](row.set);
        return row.stats[field] ? groupValue(row, field, WORDS[kind]) : '';
    });

    Object.assign(leaderboard, {cell, renderer, findingsOf});
})();
