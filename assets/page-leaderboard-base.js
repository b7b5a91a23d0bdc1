// The Leaderboard in the browser: what its scripts share, and numbers as they are written; the others build on it in their order.
(function () {
    const leaderboard = (window.prefscope = window.prefscope || {}).leaderboard = {};
    const prefscope = window.dash_clientside.prefscope;

    // The table as it is. `members` has for each group the nodes of its runs that pass the filters, open or not.
    const fresh = () => ({
        api: null, stamp: null, columns: [], fields: [], rows: new Map(), groups: [], open: new Set(), parent: new Map(),
        members: new Map(), told: new Map(), scale: [0, 1], asked: new Map(), badges: new Map(), sentences: [], words: [], states: [], tied: false,
        selected: [], shown: null, quiet: false,
    });
    const board = {...fresh(), curves: new Map()};
    const there = () => board.api && !board.api.isDestroyed();

    const keep = () => window.dash_clientside.no_update;
    const send = (name, value) => prefscope.send('leaderboard-' + name, value);
    const isNarrow = () => window.innerWidth < 640;

    const make = (tag, className, ...children) => {
        const element = document.createElement(tag);
        if (className) element.className = className;
        element.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
        return element;
    };

    // Colours and markers as dashboard/figures/theme.py gives them.
    const COLOURS = ['#0072B2', '#E69F00', '#009E73', '#CC79A7', '#D55E00', '#56B4E9'];
    const SYMBOLS = ['circle', 'square', 'diamond', 'triangle-up', 'x', 'star'];
    const colour = (slot) => COLOURS[slot % COLOURS.length];
    const swatch = (slot) => {
        const mark = make('span', 'swatch swatch-' + SYMBOLS[Math.floor(slot / COLOURS.length) % SYMBOLS.length]);
        mark.style.background = colour(slot);
        return mark;
    };

    // Numbers as dashboard/analysis/numbers.py writes them.
    const missing = (value) => value === null || value === undefined;
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
        if (missing(value)) return '–';
        if (typeof value === 'string') return value;
        if (value < 0) return '−' + metric(-value, digits);
        return value && !(value >= 1e-3 && value < 1e5) ? short(value) : fixed(value, digits);
    };
    const percent = (value) => typeof value === 'number' && value >= 0 && value <= 1 ? fixed(100 * value, 1) + '%' : metric(value);
    const count = (value) => missing(value) ? '–' : value.toLocaleString('en-US');
    const setting = (value) => missing(value) ? '–' : typeof value === 'number' ? short(value) : value;
    const steps = (value, row) => row.planned && value !== null ? count(value) + ' / ' + count(row.planned) : count(value);
    const WORDS = {
        metric: (value) => metric(value), loss: (value) => metric(value), metric3: (value) => metric(value, 3),
        count, rank: (value) => missing(value) ? '–' : String(value), setting, steps,
        text: (value) => value || '–',
    };

    Object.assign(leaderboard, {
        prefscope, fresh, board, there, keep, send, isNarrow, make, colour, swatch, missing, short, fixed, metric, percent, WORDS,
    });
})();
