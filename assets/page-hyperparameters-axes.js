// The Hyper-parameters page in the browser: what its scripts share, and axes and brushes as numbers; the others build on it.
(function () {
    const hyper = (window.prefscope = window.prefscope || {}).hyper = {};

    const MOST_IDS = 200;
    const TOP = 52, HEIGHT = 270, MISSING = 30, BOTTOM = 22, SIDE = 56;

    const {send} = window.dash_clientside.prefscope;

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

    // Axes: value <-> height.
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

    // Brushes: [low, high] or categories, null for runs that do not state it

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

    Object.assign(hyper, {
        MOST_IDS, TOP, HEIGHT, MISSING, BOTTOM, SIDE, missingAt,
        send, same, make, button, clamp, share, height, levelAt, hasMissing, numbersOf, passes, between, spans,
    });
})();
