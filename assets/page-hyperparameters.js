// The Hyper-parameters page: parallel coordinates with brushes, and what is picked in its charts.
(function () {
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});
    const keep = () => window.dash_clientside.no_update;
    const set = (id, props) => window.dash_clientside.set_props(id, props);

    const MOST_IDS = 200, MOST_CHIPS = 12, NARROWEST = 104;
    const TOP = 52, HEIGHT = 270, MISSING = 30, BOTTOM = 22, SIDE = 56;
    const STILL = 4; // pixels: less is a click, not a drag

    const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
    const make = (tag, className, text) => {
        const made = document.createElement(tag);
        if (className) made.className = className;
        if (text !== undefined) made.textContent = text;
        return made;
    };
    const button = (className, text, label, press) => {
        const made = make('button', className, text);
        made.type = 'button';
        if (label) made.setAttribute('aria-label', label);
        made.addEventListener('click', press);
        return made;
    };
    const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

    // ---- axes: value <-> height

    const scale = (axis, value) => axis.kind === 'log' ? Math.log10(value) : value;
    const share = (axis, value) => {
        const low = scale(axis, axis.low), high = scale(axis, axis.high);
        return high > low ? (scale(axis, value) - low) / (high - low) : 0.5;
    };
    const height = (axis, value) => TOP + (1 - share(axis, value)) * HEIGHT;
    const missingAt = TOP + HEIGHT + MISSING;
    const levelAt = (axis, level) => level < 0 ? missingAt
        : height(axis, axis.kind === 'text' ? level : axis.levels[level]);
    const valueAt = (axis, y) => {
        const part = clamp(1 - (y - TOP) / HEIGHT, 0, 1);
        if (part === 0) return axis.low;
        if (part === 1) return axis.high;
        const low = scale(axis, axis.low), high = scale(axis, axis.high);
        const value = low + part * (high - low);
        return Number((axis.kind === 'log' ? Math.pow(10, value) : value).toPrecision(4));
    };
    const hasMissing = (axis) => axis.at.includes(-1);

    // ---- brushes: [low, high] or categories, null for runs that do not state it

    const numbersOf = (brush) => brush.filter((part) => typeof part === 'number');
    const passes = (axis, brush, level) => {
        if (level < 0) return brush.includes(null);
        if (axis.kind === 'text') return brush.includes(axis.levels[level]);
        const [low, high] = numbersOf(brush);
        return low !== undefined && axis.levels[level] >= low && axis.levels[level] <= high;
    };
    const between = (axis, from, to) => {
        const top = Math.min(from, to), bottom = Math.max(from, to), found = [];
        if (axis.kind === 'text') {
            axis.levels.forEach((level, place) => {
                const y = height(axis, place);
                if (y >= top - 5 && y <= bottom + 5) found.push(level);
            });
        } else if (top <= TOP + HEIGHT && axis.levels.length) {
            found.push(valueAt(axis, bottom), valueAt(axis, top));
        }
        if (hasMissing(axis) && bottom >= missingAt - 10) found.push(null);
        return found;
    };
    const spans = (axis, brush) => {
        const found = [];
        if (axis.kind === 'text') {
            const step = HEIGHT / Math.max(axis.levels.length - 1, 1);
            axis.levels.forEach((level, place) => {
                const y = height(axis, place), half = Math.min(step / 2, 9);
                if (brush.includes(level)) found.push([y - half, y + half]);
            });
        } else {
            const [low, high] = numbersOf(brush);
            if (low !== undefined && axis.levels.length) {
                const ends = [high, low].map((value) => axis.kind === 'log' && value <= 0 ? TOP + HEIGHT : height(axis, value));
                const [top, bottom] = ends.map((y) => clamp(y, TOP, TOP + HEIGHT));
                found.push([top - 3, bottom + 3]);
            }
        }
        if (brush.includes(null)) found.push([missingAt - 9, missingAt + 9]);
        return found;
    };

    // ---- the chart

    class Lines {
        constructor(root) {
            this.root = root;
            this.order = [];
            this.brushedBefore = null;
            this.hovered = -1;
            this.bar = make('div', 'hyper-bar');
            this.count = make('span', 'hyper-count');
            this.count.setAttribute('role', 'status');
            this.clear = button('btn btn-quiet', 'Clear', 'Clear all brushes and the selection', () => {
                this.editing = null;
                set('hyper-brushes', {data: {}});
                set('selection', {data: []});
            });
            this.shelf = make('span', 'hyper-shelf');
            this.legend = make('span', 'hyper-legend');
            this.bar.append(this.count, this.clear, this.shelf, this.legend);
            this.box = make('div', 'hyper-scroll');
            this.plot = make('div', 'hyper-plot');
            this.base = make('canvas');
            this.over = make('canvas');
            this.base.setAttribute('aria-hidden', 'true');
            this.over.setAttribute('aria-hidden', 'true');
            this.axes = make('div', 'hyper-axes');
            this.plot.append(this.base, this.over, this.axes);
            this.box.append(this.plot);
            this.editor = make('div', 'hyper-editor');
            this.editor.hidden = true;
            this.tip = make('div', 'hyper-tip');
            this.tip.hidden = true;
            root.append(this.bar, this.box, this.editor, this.tip);
            this.plot.addEventListener('pointermove', (event) => this.hover(event));
            this.plot.addEventListener('pointerleave', () => this.leave());
            this.box.addEventListener('scroll', () => this.leave());
            this.plot.addEventListener('click', (event) => this.pick(event));
            this.sizes = new ResizeObserver(() => { if (this.data && this.box.clientWidth !== this.seenWidth) this.layOut(); });
            this.sizes.observe(this.box);
            this.themes = new MutationObserver(() => this.paint());
            this.themes.observe(document.documentElement, {attributes: true, attributeFilter: ['data-bs-theme']});
        }

        drop() {
            this.sizes.disconnect();
            this.themes.disconnect();
        }

        show(data, brushes, hidden, order, colour, selected) {
            const fresh = data !== this.data || !same(hidden, this.hiddenKeys) || !same(order, this.orderKeys);
            const brushed = !same(brushes, this.brushes);
            Object.assign(this, {data, brushes: brushes || {}, hiddenKeys: hidden || [], orderKeys: order || [], colour, selected: new Set(selected || [])});
            if (fresh) {
                this.leave();
                this.arrange();
                this.layOut();
            } else {
                if (brushed) this.marks();
                this.paint();
            }
            this.told();
            this.choose();
        }

        // The axes in the user's order, those hidden left out; the metric is always there.
        arrange() {
            const axes = this.data.axes, metric = axes[axes.length - 1];
            const known = Object.fromEntries(axes.map((axis) => [axis.key, axis]));
            const listed = [...new Set([...this.orderKeys.filter((key) => known[key]), ...axes.map((axis) => axis.key)])];
            if (!this.orderKeys.includes(metric.key)) listed.push(listed.splice(listed.indexOf(metric.key), 1)[0]);
            this.metric = metric;
            this.shown = listed.filter((key) => key === metric.key || !this.hiddenKeys.includes(key)).map((key) => known[key]);
            this.away = listed.filter((key) => key !== metric.key && this.hiddenKeys.includes(key)).map((key) => known[key]);
            this.missing = this.shown.some(hasMissing);
        }

        x(place) {
            return this.shown.length > 1 ? SIDE + place * (this.width - 2 * SIDE) / (this.shown.length - 1) : this.width / 2;
        }

        layOut() {
            this.seenWidth = this.box.clientWidth;
            this.width = Math.max(this.seenWidth, this.shown.length * NARROWEST);
            this.tall = TOP + HEIGHT + (this.missing ? MISSING : 0) + BOTTOM;
            this.plot.style.width = this.width + 'px';
            this.plot.style.height = this.tall + 'px';
            const ratio = window.devicePixelRatio || 1;
            [this.base, this.over].forEach((canvas) => {
                canvas.width = Math.round(this.width * ratio);
                canvas.height = Math.round(this.tall * ratio);
                canvas.style.width = this.width + 'px';
                canvas.style.height = this.tall + 'px';
                canvas.getContext('2d').setTransform(ratio, 0, 0, ratio, 0, 0);
            });
            const focused = document.activeElement && document.activeElement.dataset && document.activeElement.dataset.axis;
            this.axes.replaceChildren(...this.shown.map((axis, place) => this.axisOf(axis, place)));
            if (focused) this.nameOf(focused)?.focus();
            this.marks();
            this.ys = this.shown.map((axis) => Float32Array.from(axis.at, (level) => levelAt(axis, level)));
            this.paint();
        }

        nameOf(key) {
            return [...this.axes.querySelectorAll('.hyper-name')].find((name) => name.dataset.axis === key);
        }

        axisOf(axis, place) {
            const made = make('div', 'hyper-axis');
            made.style.left = this.x(place) + 'px';
            const name = button('hyper-name', axis.label, axis.label + ': choose values, move or hide', () => this.edit(axis.key));
            name.dataset.axis = axis.key;
            name.title = axis.label;
            this.dragName(name, axis, place);
            const track = make('div', 'hyper-track');
            track.style.top = TOP - 8 + 'px';
            track.style.height = HEIGHT + (this.missing ? MISSING : 0) + 16 + 'px';
            this.dragTrack(track, axis);
            const rule = make('div', 'hyper-rule');
            rule.style.top = TOP + 'px';
            rule.style.height = HEIGHT + 'px';
            made.append(rule, track, name);
            axis.ticks.forEach(([value, words]) => {
                const tick = make('span', 'hyper-tick', words);
                tick.style.top = height(axis, value) + 'px';
                made.append(tick);
            });
            if (hasMissing(axis)) {
                const tick = make('span', 'hyper-tick hyper-missing', axis === this.metric ? 'none' : 'not stated');
                tick.style.top = missingAt + 'px';
                made.append(tick);
            }
            return made;
        }

        marks() {
            [...this.axes.children].forEach((element, place) => {
                element.querySelectorAll('.hyper-brush').forEach((old) => old.remove());
                const axis = this.shown[place], brush = this.brushes[axis.key];
                if (brush) spans(axis, brush).forEach(([top, bottom]) => element.append(this.mark(top, bottom)));
                element.querySelector('.hyper-name').classList.toggle('brushed', Boolean(brush));
            });
        }

        mark(top, bottom) {
            const made = make('div', 'hyper-brush');
            made.style.top = top + 'px';
            made.style.height = Math.max(bottom - top, 4) + 'px';
            return made;
        }

        // ---- which runs are kept

        rules(brushes) {
            return this.data.axes.filter((axis) => brushes[axis.key]).map((axis) => [axis, brushes[axis.key]]);
        }

        kept() {
            const rules = this.rules(this.brushes);
            if (!rules.length) return null;
            return this.data.ids.map((_, run) => rules.every(([axis, brush]) => passes(axis, brush, axis.at[run])));
        }

        // The brushed runs become the selection of all pages; nothing else here takes one away.
        choose() {
            const kept = this.kept();
            const ids = kept && this.data.ids.filter((_, run) => kept[run]).slice(0, MOST_IDS);
            if (same(ids, this.brushedBefore)) return;
            this.brushedBefore = ids;
            if (ids && !same(ids, [...this.selected])) set('selection', {data: ids});
        }

        told() {
            const kept = this.kept(), all = this.data.ids.length;
            const picked = this.data.ids.filter((id) => this.selected.has(id)).length;
            const runs = all === 1 ? ' run' : ' runs';
            const left = kept ? kept.filter(Boolean).length : 0;
            const most = left > MOST_IDS ? ', the first ' + MOST_IDS + ' of them selected' : '';
            this.count.textContent = kept ? left + ' of ' + all + runs + most
                : picked ? all + runs + ', ' + picked + ' selected' : all + runs;
            this.clear.hidden = !kept && !picked;
            this.shelf.replaceChildren(...this.away.map((axis) => button('btn btn-quiet', '+ ' + axis.label, 'Show ' + axis.label,
                () => set('hyper-hidden', {data: this.hiddenKeys.filter((key) => key !== axis.key)}))));
            this.legend.replaceChildren();
            if (this.colour === 'metric' && this.metric.levels.length) {
                const better = this.data.better;
                this.legend.append(
                    make('span', '', this.metric.words[0] + (better === 'lower' ? ' (best)' : '')), make('span', 'hyper-ramp'),
                    make('span', '', this.metric.words[this.metric.words.length - 1] + (better === 'higher' ? ' (best)' : '')));
                this.legend.title = 'Colour: ' + this.metric.label;
            }
        }

        // ---- painting

        ramp() {
            const style = getComputedStyle(this.root);
            const stops = [0, 1, 2, 3, 4].map((n) => style.getPropertyValue('--hyper-' + n).trim())
                .map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
            return (part) => {
                const place = clamp(part, 0, 1) * (stops.length - 1), from = Math.min(Math.floor(place), stops.length - 2);
                const mixed = stops[from].map((low, n) => Math.round(low + (place - from) * (stops[from + 1][n] - low)));
                return 'rgb(' + mixed.join(',') + ')';
            };
        }

        colours() {
            if (this.colour === 'run') return this.data.colours;
            const ramp = this.ramp(), none = getComputedStyle(this.root).getPropertyValue('--dim').trim();
            return this.metric.at.map((level) => level < 0 ? none : ramp(share(this.metric, this.metric.levels[level])));
        }

        line(pen, run) {
            pen.beginPath();
            this.shown.forEach((_, place) => {
                const x = this.x(place), y = this.ys[place][run];
                if (place) pen.lineTo(x, y); else pen.moveTo(x, y);
            });
            pen.stroke();
        }

        paint() {
            if (!this.data || !this.ys) return;
            const pen = this.base.getContext('2d'), kept = this.kept(), many = this.data.ids.length;
            const some = kept || (this.data.ids.some((id) => this.selected.has(id)) ? this.data.ids.map((id) => this.selected.has(id)) : null);
            const colours = this.colours();
            pen.clearRect(0, 0, this.width, this.tall);
            pen.lineJoin = 'round';
            const faint = many > 300 ? 0.04 : many > 60 ? 0.08 : 0.16, full = many > 300 ? 0.35 : many > 60 ? 0.6 : 0.85;
            if (some) {
                pen.globalAlpha = faint;
                pen.lineWidth = 1;
                pen.strokeStyle = getComputedStyle(this.root).getPropertyValue('--ink').trim();
                some.forEach((on, run) => { if (!on) this.line(pen, run); });
            }
            const shown = some ? some.filter(Boolean).length : many;
            pen.globalAlpha = some ? (shown > 300 ? 0.4 : 0.95) : full;
            pen.lineWidth = shown > 100 ? 1.2 : 1.8;
            this.data.ids.forEach((_, run) => {
                if (some && !some[run]) return;
                pen.strokeStyle = colours[run];
                this.line(pen, run);
            });
            this.emphasise();
        }

        emphasise() {
            const pen = this.over.getContext('2d');
            pen.clearRect(0, 0, this.width, this.tall);
            if (this.hovered < 0) return;
            const style = getComputedStyle(this.root);
            pen.lineJoin = 'round';
            [[6, style.getPropertyValue('--panel').trim()], [3, this.data.colours[this.hovered]]].forEach(([width, colour]) => {
                pen.lineWidth = width;
                pen.strokeStyle = colour;
                this.line(pen, this.hovered);
            });
            this.shown.forEach((_, place) => {
                pen.beginPath();
                pen.arc(this.x(place), this.ys[place][this.hovered], 4, 0, 7);
                pen.fillStyle = this.data.colours[this.hovered];
                pen.fill();
            });
        }

        // ---- pointer

        // The nearest run within 12 pixels of the pointer, of those that are kept; -1 if there is none.
        nearest(event) {
            const at = this.plot.getBoundingClientRect(), x = event.clientX - at.left, y = event.clientY - at.top;
            if (y < TOP - 8 || this.shown.length < 2) return -1;
            const kept = this.kept(), step = this.x(1) - this.x(0);
            const place = clamp(Math.floor((x - SIDE) / step), 0, this.shown.length - 2), part = clamp((x - this.x(place)) / step, 0, 1);
            let found = -1, least = 12;
            for (let run = 0; run < this.data.ids.length; run += 1) {
                if (kept && !kept[run]) continue;
                const left = this.ys[place][run], right = this.ys[place + 1][run];
                const slope = (right - left) / step;
                const away = Math.abs(left + part * (right - left) - y) / Math.sqrt(1 + slope * slope);
                if (away < least) { found = run; least = away; }
            }
            return found;
        }

        hover(event) {
            if (this.dragging || !this.data) return;
            const found = this.nearest(event);
            if (found !== this.hovered) {
                this.hovered = found;
                this.emphasise();
                this.tip.hidden = found < 0;
                if (found >= 0) this.describe(found);
            }
            if (found >= 0) {
                const at = this.root.getBoundingClientRect(), x = event.clientX - at.left, y = event.clientY - at.top;
                const wide = this.tip.offsetWidth, left = x + 18 + wide > at.width ? x - wide - 18 : x + 18;
                this.tip.style.left = Math.max(0, left) + 'px';
                this.tip.style.top = Math.max(0, y - this.tip.offsetHeight / 2) + 'px';
            }
        }

        describe(run) {
            const list = make('dl');
            this.shown.forEach((axis) => {
                const level = axis.at[run];
                list.append(make('dt', '', axis.label), make('dd', '', level < 0 ? 'not stated' : axis.words[level]));
            });
            this.tip.replaceChildren(make('strong', '', this.data.names[run]), list);
        }

        leave() {
            if (this.hovered < 0) return;
            this.hovered = -1;
            this.tip.hidden = true;
            this.emphasise();
        }

        // A click on a line picks its run, unless brushes choose.
        pick(event) {
            if (event.target.closest('.hyper-name') || this.kept() || this.justDragged) return;
            const run = this.nearest(event);
            if (run < 0) return;
            const id = this.data.ids[run], ids = [...this.selected];
            set('selection', {data: ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id].slice(-MOST_IDS)});
        }

        brush(key, brush) {
            const brushes = {...this.brushes};
            if (brush.length) brushes[key] = brush; else delete brushes[key];
            set('hyper-brushes', {data: brushes});
        }

        follow(element, moved, ended) {
            element.addEventListener('pointerdown', (start) => {
                if (start.button) return;
                element.setPointerCapture(start.pointerId);
                let far = false;
                const move = (event) => {
                    far = far || Math.hypot(event.clientX - start.clientX, event.clientY - start.clientY) > STILL;
                    this.dragging = far;
                    if (far) moved(start, event);
                };
                const end = (event) => {
                    element.removeEventListener('pointermove', move);
                    element.removeEventListener('pointerup', end);
                    element.removeEventListener('pointercancel', end);
                    this.dragging = false;
                    this.justDragged = far;
                    setTimeout(() => { this.justDragged = false; }, 0);
                    ended(start, event, far && event.type === 'pointerup');
                };
                element.addEventListener('pointermove', move);
                element.addEventListener('pointerup', end);
                element.addEventListener('pointercancel', end);
            });
        }

        dragTrack(track, axis) {
            const y = (event) => event.clientY - this.plot.getBoundingClientRect().top;
            let sketch = null;
            this.follow(track, (start, event) => {
                this.leave();
                if (!sketch) { sketch = this.mark(0, 0); track.parentElement.append(sketch); }
                const ends = [y(start), clamp(y(event), TOP - 8, missingAt + 10)];
                sketch.style.top = Math.min(...ends) + 'px';
                sketch.style.height = Math.abs(ends[0] - ends[1]) + 'px';
            }, (start, event, far) => {
                if (sketch) sketch.remove();
                sketch = null;
                const at = y(start), brush = this.brushes[axis.key];
                if (far) this.brush(axis.key, between(axis, at, y(event)));
                else if (brush && spans(axis, brush).some(([top, bottom]) => at >= top && at <= bottom)) {
                    this.justDragged = true;
                    this.brush(axis.key, []);
                }
            });
        }

        dragName(name, axis, place) {
            this.follow(name, (start, event) => {
                name.parentElement.style.left = this.x(place) + event.clientX - start.clientX + 'px';
                name.parentElement.classList.add('moving');
            }, (start, event, far) => {
                name.parentElement.classList.remove('moving');
                if (!far) return;
                name.dataset.moved = '1';
                const step = this.shown.length > 1 ? this.x(1) - this.x(0) : 1;
                this.move(axis.key, Math.round((event.clientX - start.clientX) / step));
            });
        }

        // Moves an axis by some places among those that are shown.
        move(key, by) {
            const shown = this.shown.map((axis) => axis.key), from = shown.indexOf(key);
            const to = clamp(from + by, 0, shown.length - 1);
            if (from === to) return this.layOut();
            shown.splice(to, 0, shown.splice(from, 1)[0]);
            set('hyper-order', {data: [...shown, ...this.away.map((axis) => axis.key)]});
            return undefined;
        }

        // ---- the keyboard's way: a small form for one axis

        edit(key) {
            const name = this.nameOf(key);
            if (name && name.dataset.moved) { delete name.dataset.moved; return; }
            if (this.editing === key && !this.editor.hidden) { this.close(); return; }
            this.editing = key;
            const axis = this.shown.find((one) => one.key === key);
            this.editor.replaceChildren(make('strong', '', axis.label), this.fields(axis), this.buttons(axis));
            this.editor.setAttribute('role', 'dialog');
            this.editor.setAttribute('aria-label', axis.label);
            this.editor.hidden = false;
            const root = this.root.getBoundingClientRect(), at = name.getBoundingClientRect();
            this.editor.style.left = clamp(at.left - root.left, 0, Math.max(0, root.width - this.editor.offsetWidth)) + 'px';
            this.editor.style.top = at.bottom - root.top + 4 + 'px';
            this.editor.onkeydown = (event) => { if (event.key === 'Escape') this.close(); };
            const first = this.editor.querySelector('input, button');
            if (first) first.focus();
        }

        close() {
            this.editor.hidden = true;
            this.nameOf(this.editing)?.focus();
            this.editing = null;
        }

        fields(axis) {
            const form = make('div', 'hyper-fields'), brush = this.brushes[axis.key];
            const checks = [], ends = [];
            const check = (words, value, on) => {
                const label = make('label', 'hyper-check'), box = make('input');
                box.type = 'checkbox';
                box.checked = on;
                box.addEventListener('change', apply);
                checks.push([box, value]);
                label.append(box, make('span', '', words));
                form.append(label);
            };
            const apply = () => {
                const picked = checks.filter(([box]) => box.checked).map(([, value]) => value);
                const numbers = ends.map((input) => input.value === '' ? NaN : Number(input.value));
                let found = picked;
                if (ends.length && numbers.some(Number.isFinite)) {
                    const [low, high] = [Number.isFinite(numbers[0]) ? numbers[0] : axis.low, Number.isFinite(numbers[1]) ? numbers[1] : axis.high];
                    found = [Math.min(low, high), Math.max(low, high), ...picked];
                }
                this.brush(axis.key, found);
            };
            if (axis.kind === 'text') {
                axis.levels.forEach((level, n) => check(axis.words[n], level, Boolean(brush) && brush.includes(level)));
            } else {
                const now = brush ? numbersOf(brush) : [];
                [['From', axis.low], ['To', axis.high]].forEach(([words, end], n) => {
                    const label = make('label', 'hyper-end'), input = make('input');
                    input.type = 'number';
                    input.step = 'any';
                    input.placeholder = String(Number(end.toPrecision(6)));
                    input.value = now[n] === undefined ? '' : String(now[n]);
                    input.addEventListener('change', apply);
                    ends.push(input);
                    label.append(make('span', '', words), input);
                    form.append(label);
                });
            }
            if (hasMissing(axis)) check(axis === this.metric ? 'none' : 'not stated', null, Boolean(brush) && brush.includes(null));
            return form;
        }

        buttons(axis) {
            const row = make('div', 'hyper-actions');
            row.append(
                button('btn btn-quiet', 'Keep all', 'Keep all values of ' + axis.label, () => { this.brush(axis.key, []); this.close(); }),
                button('btn btn-quiet', '←', 'Move ' + axis.label + ' to the left', () => this.move(axis.key, -1)),
                button('btn btn-quiet', '→', 'Move ' + axis.label + ' to the right', () => this.move(axis.key, 1)));
            if (axis !== this.metric) {
                row.append(button('btn btn-quiet', 'Hide', 'Hide ' + axis.label, () => {
                    this.editor.hidden = true;
                    this.brush(axis.key, []);
                    set('hyper-hidden', {data: [...this.hiddenKeys, axis.key]});
                }));
            }
            row.append(button('btn btn-quiet', 'Close', 'Close', () => this.close()));
            return row;
        }
    }

    let lines = null;

    document.addEventListener('pointerdown', (event) => {
        if (lines && !lines.editor.hidden && !lines.editor.contains(event.target) && !event.target.closest('.hyper-name')) {
            lines.editor.hidden = true;
        }
    });

    // Points of the charts whose runs are not selected step back.
    let marking = null;
    const markPoints = (selected) => {
        clearTimeout(marking);
        marking = setTimeout(() => {
            const chosen = new Set(selected || []);
            document.querySelectorAll('.hyper-slices .js-plotly-plot').forEach((chart) => {
                const place = (chart.data || []).findIndex((trace) => Array.isArray(trace.customdata));
                if (place < 0 || !window.Plotly) return;
                const picked = chart.data[place].customdata.map((id, n) => chosen.has(id) ? n : -1).filter((n) => n >= 0);
                const wanted = picked.length ? picked : null;
                if (same(wanted, chart.data[place].selectedpoints || null)) return;
                window.Plotly.restyle(chart, {selectedpoints: [wanted]}, [place]);
            });
        }, 250);
    };

    const PAGES = ['/curves', '/compare', '/pairs'], MOST = [20, 6, 100];

    const chip = (data, id) => {
        const run = data ? data.ids.indexOf(id) : -1;
        const name = run < 0 ? id : data.names[run], colour = run < 0 ? 'var(--dim)' : data.colours[run];
        const swatch = {type: 'Span', namespace: 'dash_html_components', props: {className: 'swatch swatch-circle', style: {background: colour}}};
        const label = {type: 'Span', namespace: 'dash_html_components', props: {className: 'run-label', children: name}};
        return {
            type: 'Link', namespace: 'dash_core_components',
            props: {href: '/run/' + encodeURIComponent(id), className: 'hyper-chip', title: name, children: [swatch, label]},
        };
    };

    Object.assign(prefscope, {
        hyperLines: (data, brushes, hidden, order, colour, selected) => {
            const root = document.getElementById('hyper-lines');
            if (!root || !data) return keep();
            if (!lines || lines.root !== root) {
                if (lines) lines.drop();
                lines = new Lines(root);
            }
            lines.show(data, brushes, hidden, order, colour, selected);
            markPoints(selected);
            return keep();
        },

        hyperPicked: (selected, data) => {
            const ids = selected || [];
            const shown = ids.slice(0, MOST_CHIPS).map((id) => chip(data, id));
            if (ids.length > MOST_CHIPS) {
                shown.push({type: 'Span', namespace: 'dash_html_components', props: {className: 'dim', children: 'and ' + (ids.length - MOST_CHIPS) + ' more'}});
            }
            const hrefs = PAGES.map((page, n) => page + '?runs=' + ids.slice(0, MOST[n]).map(encodeURIComponent).join(','));
            return [shown, ids.length === 0, ...hrefs];
        },

        hyperPick: (slices, surface, selected) => {
            const found = window.dash_clientside.callback_context.triggered.map((one) => one.value).filter(Boolean)[0];
            const id = found && found.points && found.points[0] && found.points[0].customdata;
            if (!id) return keep();
            const ids = selected || [];
            return ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id].slice(-MOST_IDS);
        },

        hyperOnly: (clicks, scope, selected) => {
            if (!clicks) return keep();
            return scope && scope.length ? [] : (selected || []).slice(0, MOST_IDS);
        },

        hyperOnlyWords: (scope, selected) => {
            const count = (scope || []).length, picked = (selected || []).length;
            if (count) return ['Only ' + count + ' chosen: show all', false];
            return [picked ? 'All; only the ' + picked + ' selected' : 'All runs', picked === 0];
        },
    });
})();
