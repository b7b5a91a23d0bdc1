// The keyboard's way to brush, move and hide an axis of the parallel coordinates: a small form.
(function () {
    const {hyper} = window.prefscope;
    const {send, make, button, clamp, hasMissing, numbersOf} = hyper;

    class Editor {
        constructor(lines) {
            this.lines = lines;
            this.box = make('div', 'hyper-editor');
            this.box.hidden = true;
        }

        edit(key) {
            const {lines} = this;
            const name = lines.nameOf(key);
            if (name && name.dataset.moved) { delete name.dataset.moved; return; }
            if (this.editing === key && !this.box.hidden) { this.close(); return; }
            this.editing = key;
            const axis = lines.shown.find((one) => one.key === key);
            this.box.replaceChildren(make('strong', '', axis.label), this.fields(axis), this.buttons(axis));
            this.box.setAttribute('role', 'dialog');
            this.box.setAttribute('aria-label', axis.label);
            this.box.hidden = false;
            const root = lines.root.getBoundingClientRect(), at = name.getBoundingClientRect();
            this.box.style.left = clamp(at.left - root.left, 0, Math.max(0, root.width - this.box.offsetWidth)) + 'px';
            this.box.style.top = at.bottom - root.top + 4 + 'px';
            this.box.onkeydown = (event) => { if (event.key === 'Escape') this.close(); };
            const first = this.box.querySelector('input, button');
            if (first) first.focus();
        }

        close() {
            this.box.hidden = true;
            this.lines.nameOf(this.editing)?.focus();
            this.editing = null;
        }

        fields(axis) {
            const {lines} = this;
            const form = make('div', 'hyper-fields'), brush = lines.brushes[axis.key];
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
                lines.brush(axis.key, found);
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
            if (hasMissing(axis)) check(axis === lines.metric ? 'none' : 'not stated', null, Boolean(brush) && brush.includes(null));
            return form;
        }

        buttons(axis) {
            const {lines} = this;
            const row = make('div', 'hyper-actions');
            row.append(
                button('btn btn-quiet', 'Keep all', 'Keep all values of ' + axis.label, () => { lines.brush(axis.key, []); this.close(); }),
                button('btn btn-quiet', '←', 'Move ' + axis.label + ' to the left', () => lines.move(axis.key, -1)),
                button('btn btn-quiet', '→', 'Move ' + axis.label + ' to the right', () => lines.move(axis.key, 1)));
            if (axis !== lines.metric) {
                row.append(button('btn btn-quiet', 'Hide', 'Hide ' + axis.label, () => {
                    this.box.hidden = true;
                    lines.brush(axis.key, []);
                    send('hyper-hidden', [...lines.hiddenKeys, axis.key]);
                }));
            }
            row.append(button('btn btn-quiet', 'Close', 'Close', () => this.close()));
            return row;
        }
    }

    hyper.Editor = Editor;
})();
