// The pointer on the parallel coordinates: which run it is near, clicks, and drags along an axis or of its name.
(function () {
    const {hyper} = window.prefscope;
    const {MOST_IDS, TOP, SIDE, missingAt, send, make, clamp, between, spans} = hyper;

    const STILL = 4; // pixels: less is a click, not a drag

    class Gestures {
        constructor(lines) {
            this.lines = lines;
            this.tip = make('div', 'hyper-tip');
            this.tip.hidden = true;
        }

        listen(plot, box) {
            plot.addEventListener('pointermove', (event) => this.hover(event));
            plot.addEventListener('pointerleave', () => this.leave());
            box.addEventListener('scroll', () => this.leave());
            plot.addEventListener('click', (event) => this.pick(event));
        }

        // The nearest run within 12 pixels of the pointer, of those that are kept; -1 if there is none.
        nearest(event) {
            const {lines} = this;
            const at = lines.plot.getBoundingClientRect(), x = event.clientX - at.left, y = event.clientY - at.top;
            if (y < TOP - 8 || lines.shown.length < 2) return -1;
            const kept = lines.kept(), step = lines.x(1) - lines.x(0);
            const place = clamp(Math.floor((x - SIDE) / step), 0, lines.shown.length - 2), part = clamp((x - lines.x(place)) / step, 0, 1);
            let found = -1, least = 12;
            for (let run = 0; run < lines.data.ids.length; run += 1) {
                if (kept && !kept[run]) continue;
                const left = lines.ys[place][run], right = lines.ys[place + 1][run];
                const slope = (right - left) / step;
                const away = Math.abs(left + part * (right - left) - y) / Math.sqrt(1 + slope * slope);
                if (away < least) { found = run; least = away; }
            }
            return found;
        }

        hover(event) {
            const {lines} = this;
            if (this.dragging || !lines.data) return;
            const found = this.nearest(event);
            if (found !== lines.hovered) {
                lines.hovered = found;
                lines.canvas.emphasise();
                this.tip.hidden = found < 0;
                if (found >= 0) this.describe(found);
            }
            if (found >= 0) {
                const at = lines.root.getBoundingClientRect(), x = event.clientX - at.left, y = event.clientY - at.top;
                const wide = this.tip.offsetWidth, left = x + 18 + wide > at.width ? x - wide - 18 : x + 18;
                this.tip.style.left = Math.max(0, left) + 'px';
                this.tip.style.top = Math.max(0, y - this.tip.offsetHeight / 2) + 'px';
            }
        }

        describe(run) {
            const {lines} = this;
            const list = make('dl');
            lines.shown.forEach((axis) => {
                const level = axis.at[run];
                list.append(make('dt', '', axis.label), make('dd', '', level < 0 ? 'not stated' : axis.words[level]));
            });
            this.tip.replaceChildren(make('strong', '', lines.data.names[run]), list);
        }

        leave() {
            const {lines} = this;
            if (lines.hovered < 0) return;
            lines.hovered = -1;
            this.tip.hidden = true;
            lines.canvas.emphasise();
        }

        // A click on a line picks its run, unless brushes choose.
        pick(event) {
            const {lines} = this;
            if (event.target.closest('.hyper-name') || lines.kept() || this.justDragged) return;
            const run = this.nearest(event);
            if (run < 0) return;
            const id = lines.data.ids[run], ids = [...lines.selected];
            send('selection', ids.includes(id) ? ids.filter((other) => other !== id) : [...ids, id].slice(-MOST_IDS));
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
            const {lines} = this;
            const y = (event) => event.clientY - lines.plot.getBoundingClientRect().top;
            let sketch = null;
            this.follow(track, (start, event) => {
                this.leave();
                if (!sketch) { sketch = lines.mark(0, 0); track.parentElement.append(sketch); }
                const ends = [y(start), clamp(y(event), TOP - 8, missingAt + 10)];
                sketch.style.top = Math.min(...ends) + 'px';
                sketch.style.height = Math.abs(ends[0] - ends[1]) + 'px';
            }, (start, event, far) => {
                if (sketch) sketch.remove();
                sketch = null;
                const at = y(start), brush = lines.brushes[axis.key];
                if (far) lines.brush(axis.key, between(axis, at, y(event)));
                else if (brush && spans(axis, brush).some(([top, bottom]) => at >= top && at <= bottom)) {
                    this.justDragged = true;
                    lines.brush(axis.key, []);
                }
            });
        }

        dragName(name, axis, place) {
            const {lines} = this;
            this.follow(name, (start, event) => {
                name.parentElement.style.left = lines.x(place) + event.clientX - start.clientX + 'px';
                name.parentElement.classList.add('moving');
            }, (start, event, far) => {
                name.parentElement.classList.remove('moving');
                if (!far) return;
                name.dataset.moved = '1';
                const step = lines.shown.length > 1 ? lines.x(1) - lines.x(0) : 1;
                lines.move(axis.key, Math.round((event.clientX - start.clientX) / step));
            });
        }
    }

    hyper.Gestures = Gestures;
})();
