// The parallel coordinates of the Hyper-parameters page: bar, axes, brushes, and which runs these keep.
(function () {
    const {hyper} = window.prefscope;
    const {MOST_IDS, TOP, HEIGHT, MISSING, BOTTOM, SIDE, missingAt, Canvas, Editor, Gestures} = hyper;
    const {send, same, make, button, clamp, height, levelAt, hasMissing, passes, spans} = hyper;

    const NARROWEST = 104; // pixels between two axes

    class Lines {
        constructor(root) {
            this.root = root;
            this.brushedBefore = null;
            this.hovered = -1;
            this.canvas = new Canvas(this);
            this.editor = new Editor(this);
            this.gestures = new Gestures(this);
            this.bar = make('div', 'hyper-bar');
            this.count = make('span', 'hyper-count');
            this.count.setAttribute('role', 'status');
            this.clear = button('btn btn-quiet', 'Clear', 'Clear all brushes and the selection', () => {
                this.editor.editing = null;
                send('hyper-brushes', {});
                send('selection', []);
            });
            this.shelf = make('span', 'hyper-shelf');
            this.legend = make('span', 'hyper-legend');
            this.bar.append(this.count, this.clear, this.shelf, this.legend);
            this.box = make('div', 'hyper-scroll');
            this.plot = make('div', 'hyper-plot');
            this.axes = make('div', 'hyper-axes');
            this.plot.append(this.canvas.base, this.canvas.over, this.axes);
            this.box.append(this.plot);
            root.append(this.bar, this.box, this.editor.box, this.gestures.tip);
            this.gestures.listen(this.plot, this.box);
            this.sizes = new ResizeObserver(() => { if (this.data && this.box.clientWidth !== this.seenWidth) this.layOut(); });
            this.sizes.observe(this.box);
            this.themes = new MutationObserver(() => this.canvas.paint());
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
                this.gestures.leave();
                this.arrange();
                this.layOut();
            } else {
                if (brushed) this.marks();
                this.canvas.paint();
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
            this.canvas.resize();
            const focused = document.activeElement && document.activeElement.dataset && document.activeElement.dataset.axis;
            this.axes.replaceChildren(...this.shown.map((axis, place) => this.axisOf(axis, place)));
            if (focused) this.nameOf(focused)?.focus();
            this.marks();
            this.ys = this.shown.map((axis) => Float32Array.from(axis.at, (level) => levelAt(axis, level)));
            this.canvas.paint();
        }

        nameOf(key) {
            return [...this.axes.querySelectorAll('.hyper-name')].find((name) => name.dataset.axis === key);
        }

        axisOf(axis, place) {
            const made = make('div', 'hyper-axis');
            made.style.left = this.x(place) + 'px';
            const name = button('hyper-name', axis.label, axis.label + ': choose values, move or hide', () => this.editor.edit(axis.key));
            name.dataset.axis = axis.key;
            name.title = axis.label;
            this.gestures.dragName(name, axis, place);
            const track = make('div', 'hyper-track');
            track.style.top = TOP - 8 + 'px';
            track.style.height = HEIGHT + (this.missing ? MISSING : 0) + 16 + 'px';
            this.gestures.dragTrack(track, axis);
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
            if (ids && !same(ids, [...this.selected])) send('selection', ids);
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
                () => send('hyper-hidden', this.hiddenKeys.filter((key) => key !== axis.key)))));
            this.legend.replaceChildren();
            if (this.colour === 'metric' && this.metric.levels.length) {
                const better = this.data.better;
                this.legend.append(
                    make('span', '', this.metric.words[0] + (better === 'lower' ? ' (best)' : '')), make('span', 'hyper-ramp'),
                    make('span', '', this.metric.words[this.metric.words.length - 1] + (better === 'higher' ? ' (best)' : '')));
                this.legend.title = 'Colour: ' + this.metric.label;
            }
        }

        brush(key, brush) {
            const brushes = {...this.brushes};
            if (brush.length) brushes[key] = brush; else delete brushes[key];
            send('hyper-brushes', brushes);
        }

        // Moves an axis by some places among those that are shown.
        move(key, by) {
            const shown = this.shown.map((axis) => axis.key), from = shown.indexOf(key);
            const to = clamp(from + by, 0, shown.length - 1);
            if (from === to) { this.layOut(); return; }
            shown.splice(to, 0, shown.splice(from, 1)[0]);
            send('hyper-order', [...shown, ...this.away.map((axis) => axis.key)]);
        }
    }

    hyper.Lines = Lines;
})();
