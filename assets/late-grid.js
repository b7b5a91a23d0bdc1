// The table's library: 1.3 MB that only the Leaderboard needs. Other pages fetch it once they stand, or when it is asked for.
(function () {
    const late = document.getElementById('grid-script');
    if (!late) return;
    const AFTER = 4000;
    let library = null, asked = null;

    const load = () => asked = asked || new Promise((resolve, reject) => {
        const script = document.createElement('script');
        script.src = late.href;
        script.onload = () => {
            library = window.dash_ag_grid;
            window.dash_ag_grid = {...library, AgGrid};
            resolve(library);
        };
        script.onerror = () => { asked = null; reject(new Error('the script of the table did not arrive')); };
        document.head.append(script);
    });

    class AgGrid extends window.React.Component {
        constructor(props) { super(props); this.state = {there: library !== null}; }
        componentDidMount() { if (!library) load().then(() => this.setState({there: true})); }
        render() { return this.state.there ? window.React.createElement(library.AgGrid, this.props) : null; }
    }

    window.dash_ag_grid = {AgGrid, getApiAsync: (id) => load().then(() => library.getApiAsync(id))};
    window.addEventListener('load', () => setTimeout(load, AFTER));
})();
