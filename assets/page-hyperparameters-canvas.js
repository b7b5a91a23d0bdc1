// The lines of the parallel coordinates: one canvas for all runs, one above it for the run under the pointer.
(function () {
    const {hyper} = window.prefscope;
    const {make, clamp, share} = hyper;

    class Canvas {
        constructor(lines) {
            this.lines = lines;
            this.base = make('canvas');
            this.over = make('canvas');
            this.base.setAttribute('aria-hidden', 'true');
            this.over.setAttribute('aria-hidden', 'true');
        }

        resize() {
            const {width, tall} = this.lines, ratio = window.devicePixelRatio || 1;
            [this.base, this.over].forEach((canvas) => {
                canvas.width = Math.round(width * ratio);
                canvas.height = Math.round(tall * ratio);
                canvas.style.width = width + 'px';
                canvas.style.height = tall + 'px';
                canvas.getContext('2d').setTransform(ratio, 0, 0, ratio, 0, 0);
            });
        }

        ramp() {
            const style = getComputedStyle(this.lines.root);
            const stops = [0, 1, 2, 3, 4].map((n) => style.getPropertyValue('--hyper-' + n).trim())
                .map((hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16)));
            return (part) => {
                const place = clamp(part, 0, 1) * (stops.length - 1), from = Math.min(Math.floor(place), stops.length - 2);
                const mixed = stops[from].map((low, n) => Math.round(low + (place - from) * (stops[from + 1][n] - low)));
                return 'rgb(' + mixed.join(',') + ')';
            };
        }

        colours() {
            const {lines} = this;
            if (lines.colour === 'run') return lines.data.colours;
            const ramp = this.ramp(), none = getComputedStyle(lines.root).getPropertyValue('--dim').trim();
            return lines.metric.at.map((level) => level < 0 ? none : ramp(share(lines.metric, lines.metric.levels[level])));
        }

        line(pen, run) {
            const {lines} = this;
            pen.beginPath();
            lines.shown.forEach((_, place) => {
                const x = lines.x(place), y = lines.ys[place][run];
                if (place) pen.lineTo(x, y); else pen.moveTo(x, y);
            });
            pen.stroke();
        }

        paint() {
            const {lines} = this;
            if (!lines.data || !lines.ys) return;
            const pen = this.base.getContext('2d'), kept = lines.kept(), many = lines.data.ids.length;
            const picked = lines.data.ids.map((id) => lines.selected.has(id)), some = kept || (picked.some(Boolean) ? picked : null);
            const colours = this.colours();
            pen.clearRect(0, 0, lines.width, lines.tall);
            pen.lineJoin = 'round';
            const faint = many > 300 ? 0.04 : many > 60 ? 0.08 : 0.16, full = many > 300 ? 0.35 : many > 60 ? 0.6 : 0.85;
            if (some) {
                pen.globalAlpha = faint;
                pen.lineWidth = 1;
                pen.strokeStyle = getComputedStyle(lines.root).getPropertyValue('--ink').trim();
                some.forEach((on, run) => { if (!on) this.line(pen, run); });
            }
            const shown = some ? some.filter(Boolean).length : many;
            pen.globalAlpha = some ? (shown > 300 ? 0.4 : 0.95) : full;
            pen.lineWidth = shown > 100 ? 1.2 : 1.8;
            lines.data.ids.forEach((_, run) => {
                if (some && !some[run]) return;
                pen.strokeStyle = colours[run];
                this.line(pen, run);
            });
            this.emphasise();
        }

        emphasise() {
            const {lines} = this;
            const pen = this.over.getContext('2d');
            pen.clearRect(0, 0, lines.width, lines.tall);
            if (lines.hovered < 0) return;
            const style = getComputedStyle(lines.root);
            pen.lineJoin = 'round';
            [[6, style.getPropertyValue('--panel').trim()], [3, lines.data.colours[lines.hovered]]].forEach(([width, colour]) => {
                pen.lineWidth = width;
                pen.strokeStyle = colour;
                this.line(pen, lines.hovered);
            });
            lines.shown.forEach((_, place) => {
                pen.beginPath();
                pen.arc(lines.x(place), lines.ys[place][lines.hovered], 4, 0, 7);
                pen.fillStyle = lines.data.colours[lines.hovered];
                pen.fill();
            });
        }
    }

    hyper.Canvas = Canvas;
})();
