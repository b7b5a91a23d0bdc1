// How cells of the run table are drawn. Everything from a run is set as text.
(function () {
    const draw = (...parts) => window.React.createElement(...parts);
    const cells = window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {};

    cells.RunName = ({data}) => draw('span', {className: 'run-name', title: data.problem || data.name},
        draw('span', {className: 'swatch swatch-' + data.symbol, style: {background: data.colour}}),
        draw('span', {className: 'run-label'}, data.name));

    cells.RunState = ({data}) => draw('span', {className: 'state', title: data.problem || data.state},
        draw('span', {className: 'dot dot-' + data.status + (data.state.includes('no news') ? ' dot-quiet' : '')}),
        draw('span', {className: 'run-label'}, data.state));

    cells.Accuracy = ({data}) => {
        const bar = data.bar;
        return draw('div', {className: 'accuracy'},
            draw('div', {className: 'accuracy-line'},
                draw('span', {className: 'accuracy-interval'}, data.text.interval),
                draw('span', null, data.text.accuracy)),
            bar && draw('div', {className: 'interval-track', 'aria-hidden': true},
                draw('div', {className: 'interval-bar',
                    style: {left: bar[0] + '%', width: Math.max(1, bar[1] - bar[0]) + '%', background: data.colour}}),
                draw('div', {className: 'interval-point', style: {left: bar[2] + '%', background: data.colour}})));
    };

    cells.Loss = ({data}) => draw('span', {className: data.worse ? 'worse' : '',
        title: data.worse ? 'Worse than the untrained model: above ln 2 = 0.693' : ''},
    data.worse ? '▲ ' + data.text.loss : data.text.loss);

    cells.Versus = ({value}) => value
        ? draw('span', {className: 'chip chip-' + value}, value)
        : draw('span', {className: 'dim'}, '–');
})();
