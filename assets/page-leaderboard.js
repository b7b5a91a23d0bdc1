// The Leaderboard's table in the browser: rows, columns, groups, filters, small curves, selection.
(function () {
    const clientside = window.dash_clientside = window.dash_clientside || {};
    const prefscope = clientside.prefscope = clientside.prefscope || {};
    const keep = () => clientside.no_update;
    const send = (name, value) => prefscope.send('leaderboard-' + name, value);
    const COLOURS = ['#0072B2', '#E69F00', '#009E73', '#CC79A7', '#D55E00', '#56B4E9'];
    const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'x', 'star'];
    const STORED = 'leaderboard-columns', NARROW = 640, MOST_CURVES = 60;
    const METRICS = ['accuracy', 'loss', 'common', 'calibrated', 'margin', 'gold', 'repetition'];

    const fresh = () => ({
        api: null, columns: [], fields: [], rows: new Map(), groups: [], open: new Set(), parent: new Map(), scale: [0, 1],
        curves: new Map(), asked: new Map(), badges: new Map(), sentences: [], words: [], states: [], tied: false,
        selected: [], shown: null,
    });
    let board = fresh();

    const make = (tag, className, ...children) => {
        const element = document.createElement(tag);
        if (className) element.className = className;
        element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
        return element;
    };

    // Numbers as dashboard/analysis/numbers.py writes them.
    const short = (value) => {
        const size = Math.abs(value);
        if (value !== 0 && (size < 1e-3 || size >= 1e6)) {
            const [mantissa, exponent] = value.toExponential(2).split('e');
            return String(Number(mantissa)) + 'e' + Number(exponent);
        }
        return size < 1e4 ? String(Number(value.toPrecision(4))) : value.toFixed(0);
    };
    // A tie goes to the even digit, as in Python: a double lies half way between two decimals only as odd / 2^(digits + 1).
    const fixed = (value, digits) => {
        if (Math.abs(value * 2 ** (digits + 1)) % 2 !== 1) return value.toFixed(digits);
        const below = Math.floor(value * 10 ** digits);
        return ((below % 2 ? below + 1 : below) / 10 ** digits).toFixed(digits);
    };
    const metric = (value, digits = 4) => {
        if (value === null || value === undefined) return '–';
        if (typeof value === 'string') return value;
        if (value < 0) return '−' + metric(-value, digits);
        return value && !(value >= 1e-3 && value < 1e5) ? short(value) : fixed(value, digits);
    };
    const percent = (value) => typeof value === 'number' && value >= 0 && value <= 1 ? fixed(100 * value, 1) + '%' : metric(value);
    const count = (value) => value === null || value === undefined ? '–' : value.toLocaleString('en-US');
    const setting = (value) => value === null || value === undefined ? '–' : typeof value === 'number' ? short(value) : value;
    const steps = (value, row) => row.planned && value !== null ? count(value) + ' / ' + count(row.planned) : count(value);
    const WORDS = {
        metric: (value) => metric(value), loss: (value) => metric(value), metric3: (value) => metric(value, 3),
        count, rank: (value) => value === null || value === undefined ? '–' : String(value), setting, steps,
        text: (value) => value || '–',
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

    // Cells: plain elements, for React's take several times as long.
    const cell = (draw) => class {
        init(params) { this.element = document.createElement('div'); this.element.className = 'board-cell'; this.refresh(params); }
        getGui() { return this.element; }
        refresh(params) {
            const drawn = params.data ? draw(params.data, params.value, params) : '';
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
    const swatch = (slot) => {
        const mark = make('span', 'swatch swatch-' + SYMBOLS[Math.floor(slot / COLOURS.length) % SYMBOLS.length]);
        mark.style.background = COLOURS[slot % COLOURS.length];
        return mark;
    };
    const toggle = (row) => {
        board.open.has(row.id) ? board.open.delete(row.id) : board.open.add(row.id);
        board.api.onFilterChanged();
        board.api.refreshCells({rowNodes: [board.api.getRowNode(row.id)], columns: ['name'], force: true});
    };
    const groupName = (row) => {
        const open = board.open.has(row.id);
        const button = make('button', 'group-toggle', make('span', open ? 'caret caret-open' : 'caret'),
            make('span', 'run-label', row.name), make('span', 'group-count', String(row.runs.length)));
        button.type = 'button';
        button.title = row.name + ', ' + row.runs.length + ' runs' + (row.best ? '; best: ' + row.best : '');
        button.setAttribute('aria-expanded', String(open));
        button.addEventListener('click', () => toggle(row));
        return button;
    };
    const bar = (row, low, high, value, colour) => {
        const [from, to] = board.scale, place = (x) => 100 * (x - from) / (to - from);
        if (low === null || low === undefined || typeof value !== 'number' || to <= from) return null;
        const range = make('div', 'interval-bar'), point = make('div', 'interval-point');
        const left = Math.max(0, place(low)), right = Math.min(100, place(high));
        Object.assign(range.style, {left: left + '%', width: Math.max(1, right - left) + '%', background: colour});
        Object.assign(point.style, {left: place(value) + '%', background: colour});
        const track = make('div', 'interval-track', range, point);
        track.setAttribute('aria-hidden', 'true');
        return track;
    };
    const accuracy = (row, value) => {
        let main = percent(value), sub = row.low === null || row.low === undefined ? '' : percent(row.low) + ' – ' + percent(row.high);
        let [low, high, colour, tip] = [row.low, row.high, COLOURS[(row.slot || 0) % COLOURS.length], ''];
        if (row.stats) {
            const found = spread(row, 'accuracy', percent);
            if (!found) return '–';
            ({main, sub, low, high, tip} = found);
            colour = 'var(--dim)';
        }
        const line = make('div', 'accuracy-line', make('span', 'accuracy-interval', sub), make('span', '', main));
        const shown = make('div', 'accuracy', line, bar(row, low, high, value, colour));
        shown.title = tip || '';
        return shown;
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
    const value = (show, field) => (row, own) => {
        if (!row.stats) return show(own, row);
        if (field === 'set') return show(row.set);
        return row.stats[field] ? groupValue(row, field, show) : '';
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
            const found = (board.badges.get(row.id) || []).concat(board.badges.get(null) || []);
            const parts = ['bad', 'warning', 'info'].map((severity) => {
                const own = found.filter((place) => board.sentences[place].severity === severity);
                if (!own.length || row.stats) return null;
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

    // What is missing is last, whichever way is up.
    const compare = (a, b, nodeA, nodeB, descending) => {
        const missing = (x) => x === null || x === undefined || x === '' || x === '–';
        if (missing(a) || missing(b)) return missing(a) === missing(b) ? 0 : (missing(a) ? 1 : -1) * (descending ? -1 : 1);
        if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
        return typeof a === 'number' ? -1 : 1;
    };
    const findingTip = (params) => {
        const row = params.data;
        if (!row || row.stats) return '';
        const found = (board.badges.get(row.id) || []).concat(board.badges.get(null) || []);
        return found.map((place) => '• ' + board.sentences[place].sentence).join('\n');
    };
    const definition = (column) => {
        const {field, kind} = column, narrow = window.innerWidth < NARROW;
        const numeric = !['name', 'versus', 'text', 'state', 'findings', 'curve'].includes(kind);
        const shown = {
            colId: field, headerName: column.name, headerTooltip: column.tip, width: column.width, comparator: compare,
            valueGetter: kind === 'curve' ? null : ({data}) => data[field],
            filter: kind === 'rank' || kind === 'curve' || kind === 'findings' ? false : numeric ? 'agNumberColumnFilter' : 'agTextColumnFilter',
            cellRenderer: CELLS[kind] || cell(value(WORDS[kind], field)), sortable: kind !== 'curve',
        };
        if (numeric) Object.assign(shown, {type: 'rightAligned'});
        if (kind === 'name') Object.assign(shown, {minWidth: 110, width: narrow ? 130 : column.width, pinned: narrow ? null : 'left'});
        if (kind === 'accuracy' && narrow) Object.assign(shown, {width: 150});
        if (kind === 'rank') Object.assign(shown, {minWidth: 36, width: narrow ? 40 : column.width, pinned: narrow ? null : 'left'});
        if (kind === 'findings') Object.assign(shown, {tooltipValueGetter: findingTip, valueGetter: ({data}) => weight(data.id)});
        return shown;
    };
    const weight = (id) => {
        const found = (board.badges.get(id) || []).concat(board.badges.get(null) || []);
        const each = {bad: 1e6, warning: 1e3, info: 1};
        return found.reduce((sum, place) => sum + each[board.sentences[place].severity], 0);
    };

    // Rows.
    const expanded = (values) => {
        const row = {};
        board.fields.forEach((field, i) => { row[field] = values[i]; });
        return row;
    };
    const grouped = (line) => {
        const row = {...line, stats: line.stats, state: '', versus: '', low: null, high: null};
        METRICS.forEach((field) => { row[field] = Array.isArray(line.stats[field]) ? line.stats[field][1] : null; });
        return row;
    };
    const rescale = () => {
        let [low, high] = [Infinity, -Infinity];
        board.rows.forEach((row) => {
            if (row.low === null || row.low === undefined) return;
            low = Math.min(low, row.low);
            high = Math.max(high, row.high);
        });
        const scale = low < high ? [low, high] : [0, 1];
        const changed = scale[0] !== board.scale[0] || scale[1] !== board.scale[1];
        board.scale = scale;
        return changed;
    };
    const receive = (sent) => {
        board.fields = sent.fields;
        board.rows = new Map(sent.rows.map((values) => [values[0], expanded(values)]));
        board.groups = sent.groups.map(grouped);
        board.parent = new Map(sent.groups.flatMap((group) => group.runs.map((id) => [id, group.id])));
        rescale();
        if (!board.groups.length) return [...board.rows.values()];
        const own = new Map(board.groups.map((group) => [group.id, []]));
        board.rows.forEach((row) => (own.get(board.parent.get(row.id)) || []).push(row));
        return board.groups.flatMap((group) => [group, ...own.get(group.id)]);
    };
    const apply = (sent) => {
        const [add, update] = [[], []];
        sent.rows.forEach((values) => {
            const row = expanded(values);
            (board.rows.has(row.id) ? update : add).push(row);
            board.rows.set(row.id, row);
        });
        const remove = sent.gone.map((id) => board.rows.get(id)).filter(Boolean);
        sent.gone.forEach((id) => board.rows.delete(id));
        const redraw = rescale();
        if (sent.order) {
            board.rows = new Map(sent.order.map((id) => [id, board.rows.get(id)]));
            board.api.setGridOption('rowData', [...board.rows.values()]);
        } else {
            board.api.applyTransaction({add, update, remove});
        }
        if (redraw) board.api.refreshCells({columns: ['accuracy'], force: true});
        [...add, ...update].forEach((row) => board.asked.delete(row.id));
    };

    // Which rows are seen. A group is seen with any of its runs that is; a run only while its group is open.
    const text = (row) => row.searched || (row.searched = board.columns.filter((column) => column.field.startsWith('config.') || ['name', 'set', 'sweep', 'source'].includes(column.field))
        .map((column) => column.field.replace('config.', '') + '=' + row[column.field] + ' ' + row[column.field]).join(' ').toLowerCase());
    const wanted = (row) => (!board.states.length || board.states.includes(row.state.split(',')[0]))
        && (!board.tied || row.versus === 'best' || row.versus === 'tied')
        && board.words.every((word) => text(row).includes(word));
    const passes = ({data}) => {
        if (data.stats) return data.runs.some((id) => board.rows.has(id) && wanted(board.rows.get(id)));
        const group = board.parent.get(data.id);
        return wanted(data) && (group === undefined || board.open.has(group));
    };
    // After any sort the runs of a group stand below it.
    const regroup = ({nodes}) => {
        if (!board.groups.length) return;
        const below = new Map(), order = [];
        nodes.forEach((node) => {
            const group = node.data.stats ? undefined : board.parent.get(node.data.id);
            if (group === undefined) { order.push(node); return; }
            below.set(group, [...(below.get(group) || []), node]);
        });
        const found = order.flatMap((node) => {
            const own = below.get(node.data.id) || [];
            below.delete(node.data.id);
            return [node, ...own];
        });
        nodes.splice(0, nodes.length, ...found, ...[...below.values()].flat());
    };

    // Columns: as they are usually, as this browser remembers them, as the link says.
    const remembered = () => { try { return JSON.parse(localStorage.getItem(STORED)) || {}; } catch { return {}; } };
    const remember = (state) => { try { localStorage.setItem(STORED, JSON.stringify(state)); } catch { /* storage is switched off */ } };
    const usual = () => board.columns.filter((column) => column.usual).map((column) => column.field);
    const visible = (linked) => {
        const known = new Set(board.columns.map((column) => column.field));
        if (linked && linked.length) return linked.filter((field) => known.has(field));
        const {order, hidden = [], added = []} = remembered();
        const fields = board.columns.filter((column) => (column.usual || added.includes(column.field)) && !hidden.includes(column.field)).map((column) => column.field);
        if (!order) return fields;
        const place = (field) => order.includes(field) ? order.indexOf(field) : order.length + fields.indexOf(field);
        return fields.sort((a, b) => place(a) - place(b));
    };
    const arrange = (fields) => {
        const {widths = {}} = remembered(), narrow = window.innerWidth < NARROW;
        const others = board.columns.map((column) => column.field).filter((field) => !fields.includes(field));
        board.quiet = true;
        board.api.applyColumnState({applyOrder: true, state: [...fields, ...others].map((field) => ({
            colId: field, hide: !fields.includes(field), ...(widths[field] && !narrow ? {width: widths[field]} : {}),
        }))});
        board.quiet = false;
        board.shown = fields;
        list();
        announce();
    };
    const announce = () => {
        const same = JSON.stringify(board.shown) === JSON.stringify(usual());
        send('columns', same ? null : board.shown);
    };
    const moved = (event) => {
        if (board.quiet || (event && event.source === 'api')) return;
        const state = board.api.getColumnState().filter((column) => board.columns.some((known) => known.field === column.colId));
        const fields = state.filter((column) => !column.hide).map((column) => column.colId);
        const kept = remembered();
        const widths = {...kept.widths};
        state.forEach((column) => {
            const own = board.columns.find((known) => known.field === column.colId);
            if (event && event.type === 'columnResized' && Math.abs(column.width - own.width) > 1) widths[column.colId] = column.width;
        });
        board.shown = fields;
        keepColumns({...kept, widths});
    };
    const keepColumns = (kept) => {
        const now = new Set(board.shown);
        const hidden = new Set(kept.hidden), added = new Set(kept.added);
        board.columns.forEach(({field, usual: common}) => {
            hidden.delete(field);
            added.delete(field);
            if (common && !now.has(field)) hidden.add(field);
            if (!common && now.has(field)) added.add(field);
        });
        remember({...kept, order: board.shown, hidden: [...hidden], added: [...added]});
        list();
        announce();
    };
    const list = () => {
        const place = document.getElementById('leaderboard-columns-list');
        if (!place) return;
        if (place.childElementCount === board.columns.length && place.contains(document.activeElement)) {
            place.querySelectorAll('input').forEach((box) => { box.checked = board.shown.includes(box.value); });
            return;
        }
        place.replaceChildren(...board.columns.map((column) => {
            const box = make('input');
            Object.assign(box, {type: 'checkbox', value: column.field, checked: board.shown.includes(column.field), disabled: column.field === 'name'});
            box.addEventListener('change', () => {
                const order = board.api.getColumnState().map((state) => state.colId);
                board.quiet = true;
                board.api.setColumnsVisible([column.field], box.checked);
                board.quiet = false;
                const now = new Set(box.checked ? [...board.shown, column.field] : board.shown.filter((field) => field !== column.field));
                board.shown = order.filter((field) => now.has(field));
                keepColumns(remembered());
                later();
            });
            const label = make('label', 'menu-check', box, make('span', '', column.name));
            label.title = column.tip;
            return label;
        }));
    };

    // Small curves for the rows in view.
    let timer = 0;
    const later = () => { clearTimeout(timer); timer = setTimeout(ask, 150); };
    const ask = () => {
        const api = board.api;
        if (!api || api.isDestroyed() || !board.shown || !board.shown.includes('curve')) return;
        const missing = api.getRenderedNodes().map((node) => node.data).filter((row) => row && !row.stats && board.asked.get(row.id) !== stampOf(row));
        if (!missing.length) return;
        const now = missing.slice(0, MOST_CURVES);
        now.forEach((row) => board.asked.set(row.id, stampOf(row)));
        send('wanted', now.map((row) => row.id));
    };
    const stampOf = (row) => row.state + ' ' + row.step;

    const tell = (ids) => {
        board.selected = ids;
        clientside.set_props('selection', {data: ids});
    };
    const selection = () => {
        if (board.api.isDestroyed()) return;
        const found = board.api.getSelectedNodes().map((node) => node.id).filter((id) => board.rows.has(id));
        if (found.length !== board.selected.length || found.some((id, i) => id !== board.selected[i])) tell(found);
    };
    const sorted = () => {
        const by = board.api.getColumnState().filter((column) => column.sort).sort((a, b) => a.sortIndex - b.sortIndex);
        send('sort', by.map((column) => (column.sort === 'desc' ? '-' : '') + column.colId).join(' ') || null);
    };
    const filtered = () => {
        if (board.quiet) return;
        const model = board.api.getFilterModel();
        send('filter', Object.keys(model).length ? model : null);
    };

    const begin = (api, sent, sort, filter, columns, start) => {
        board = {...fresh(), curves: board.curves, api, columns: sent.columns};
        board.stamp = sent.stamp;
        const rows = receive(sent);
        const narrow = window.innerWidth < NARROW;
        Object.entries({
            selectionColumnDef: {pinned: narrow ? null : 'left', width: narrow ? 36 : 44},
            isExternalFilterPresent: () => true, doesExternalFilterPass: passes, postSortRows: regroup,
            rowSelection: {mode: 'multiRow', checkboxes: true, headerCheckbox: true, selectAll: 'filtered', isRowSelectable: ({data}) => !data || !data.stats},
        }).forEach(([name, option]) => api.setGridOption(name, option));
        readFilters();
        api.setGridOption('columnDefs', sent.columns.map(definition));
        arrange(visible(columns));
        if (sort) {
            api.applyColumnState({state: sort.split(' ').filter(Boolean).map((field, i) => ({
                colId: field.replace(/^-/, ''), sort: field.startsWith('-') ? 'desc' : 'asc', sortIndex: i,
            }))});
        }
        api.setGridOption('rowData', rows);
        if (filter) try { api.setFilterModel(filter); } catch { /* a filter of a link that is none */ }
        tell((start || []).filter((id) => board.rows.has(id)));
        api.addEventListener('selectionChanged', () => setTimeout(selection, 5));
        api.addEventListener('sortChanged', sorted);
        api.addEventListener('filterChanged', filtered);
        ['columnMoved', 'columnResized'].forEach((name) => api.addEventListener(name, (event) => { if (event.finished !== false) moved(event); }));
        ['viewportChanged', 'modelUpdated', 'bodyScrollEnd'].forEach((name) => api.addEventListener(name, later));
        later();
        slider();
        approach();
        painted();
    };
    // The slider of the common beta: its place is that of a logarithm.
    const slider = () => {
        const place = document.getElementById('leaderboard-beta-slider');
        if (!place || place.childElementCount) return;
        const range = make('input', 'range'), words = make('output', 'range-words', short(Number(place.dataset.beta)));
        const beta = () => Number((10 ** Number(range.value)).toPrecision(3));
        Object.assign(range, {type: 'range', min: -3, max: 1, step: 0.05, value: Math.log10(Number(place.dataset.beta))});
        range.setAttribute('aria-label', 'Common beta');
        const told = () => {
            words.textContent = short(beta());
            range.setAttribute('aria-valuetext', words.textContent);
        };
        range.addEventListener('input', told);
        range.addEventListener('change', () => send('beta', beta()));
        place.append(range, words);
    };
    const painted = () => requestAnimationFrame(() => setTimeout(() => send('painted', board.stamp), 60));
    const again = (sent) => {
        const before = JSON.stringify(board.columns);
        board.stamp = sent.stamp;
        const rows = receive(sent);
        if (JSON.stringify(sent.columns) !== before) {
            board.columns = sent.columns;
            board.quiet = true;
            board.api.setGridOption('columnDefs', sent.columns.map(definition));
            board.quiet = false;
            arrange(visible(null));
        }
        board.api.setGridOption('rowData', rows);
        board.api.refreshCells({force: true});
        later();
        painted();
    };
    const readFilters = () => {
        const of = (selector) => [...document.querySelectorAll(selector)];
        const search = document.getElementById('leaderboard-search');
        board.words = (search ? search.value : '').toLowerCase().split(/\s+/).filter(Boolean);
        board.states = of('#leaderboard-status input:checked').map((box) => box.value);
        board.tied = of('#leaderboard-tied input:checked').length > 0;
    };

    // The chart is asked for when it is nearly in view.
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

    document.addEventListener('click', (event) => {
        const target = event.target.closest && event.target.closest('[data-export], #leaderboard-columns-reset');
        document.querySelectorAll('details.menu[open]').forEach((menu) => { if (!menu.contains(event.target)) menu.open = false; });
        if (!target || !board.api) return;
        if (target.id === 'leaderboard-columns-reset') {
            remember({});
            board.quiet = true;
            board.api.setGridOption('columnDefs', board.columns.map(definition));
            board.api.resetColumnState();
            board.quiet = false;
            arrange(usual());
            list();
            return;
        }
        const rows = [];
        board.api.forEachNodeAfterFilterAndSort((node) => rows.push(node.id));
        send('export', {kind: target.dataset.export, use: target.dataset.use, rows, fields: board.shown, at: Date.now()});
    });
    document.addEventListener('keydown', (event) => {
        const menu = event.key === 'Escape' && event.target.closest && event.target.closest('details.menu[open]');
        if (!menu) return;
        menu.open = false;
        menu.querySelector('summary').focus();
    });

    Object.assign(prefscope, {
        boardShow: (content, sort, filter, columns, start) => {
            if (!content) return keep();
            window.dash_ag_grid.getApiAsync('run-table').then((api) => {
                const sent = JSON.parse(content);
                if (board.api !== api) return sent.base ? undefined : begin(api, sent, sort, filter, columns, start);
                if (!sent.base) return again(sent);
                if (sent.base !== board.stamp) {
                    send('stamp', '');
                    return send('again', Date.now());
                }
                apply(sent);
                board.stamp = sent.stamp;
                later();
                return painted();
            });
            return keep();
        },

        boardFilter: (search, states, tied) => {
            if (!board.api || board.api.isDestroyed()) return keep();
            board.words = (search || '').toLowerCase().split(/\s+/).filter(Boolean);
            board.states = states || [];
            board.tied = Boolean(tied && tied.length);
            board.api.onFilterChanged();
            return keep();
        },

        boardBadges: (content) => {
            if (!content || !board.api) return keep();
            const {findings} = JSON.parse(content);
            board.sentences = findings;
            board.badges = new Map();
            findings.forEach(({runs}, place) => (runs || [null]).forEach((id) => board.badges.set(id, [...(board.badges.get(id) || []), place])));
            if (!board.api.isDestroyed()) board.api.refreshCells({columns: ['findings'], force: true});
            return keep();
        },

        boardCurves: (content) => {
            if (!content || !board.api || board.api.isDestroyed()) return keep();
            const found = JSON.parse(content);
            Object.entries(found).forEach(([id, curve]) => board.curves.set(id, curve));
            const nodes = Object.keys(found).map((id) => board.api.getRowNode(id)).filter(Boolean);
            board.api.refreshCells({rowNodes: nodes, columns: ['curve'], force: true});
            later();
            return keep();
        },

        boardExported: (found) => {
            if (!found) return keep();
            if (found.use === 'download') {
                const link = make('a');
                link.href = URL.createObjectURL(new Blob([found.text], {type: 'text/plain;charset=utf-8'}));
                link.download = found.name;
                link.click();
                setTimeout(() => URL.revokeObjectURL(link.href), 1000);
                return 'Downloaded as ' + found.name + '.';
            }
            return navigator.clipboard ? navigator.clipboard.writeText(found.text).then(() => 'Copied.', () => 'The browser did not allow it; download it instead.')
                : 'The browser allows copying only over https or on this machine; download it instead.';
        },

        boardSelection: (ids) => {
            const chosen = Array.isArray(ids) ? ids : [], n = chosen.length;
            const words = n === 0 ? 'Select runs to see their curves.' : n === 1 ? '1 run selected' : n + ' runs selected';
            const query = n ? '?runs=' + chosen.slice(0, 200).map((id) => encodeURIComponent(encodeURIComponent(id))).join(',') : '';
            const some = (low, high) => n >= low && n <= high;
            const style = (main, on) => (main ? 'btn btn-main' : 'btn btn-quiet btn-tall') + (on ? '' : ' disabled');
            return [words, '/curves' + query, '/compare' + query, '/pairs' + query, '/hyperparameters' + query,
                style(true, true), style(false, some(2, 6)), style(false, n > 0), style(false, n === 0 || n > 1)];
        },

        boardPoint: (click) => {
            const id = click && click.points && click.points[0] && click.points[0].customdata;
            if (!id || !board.api) return keep();
            const chosen = board.selected.includes(id) ? board.selected.filter((other) => other !== id) : [...board.selected, id];
            clientside.set_props('run-table', {selectedRows: {ids: chosen}});
            return keep();
        },

        boardHighlight: () => { setTimeout(highlight, 50); return keep(); },

        boardControls: (rank, at) => [rank !== 'common', at !== 'step'],

    });
})();
