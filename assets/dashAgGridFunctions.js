// Named functions that the table's column definitions may use.
window.dashAgGridFunctions = window.dashAgGridFunctions || {};

window.dashAgGridFunctions.shownText = (params) => {
    const text = params.data && params.data.text && params.data.text[params.colDef.field];
    if (text !== undefined) return text;
    return params.value === null || params.value === undefined ? '–' : String(params.value);
};

window.dashAgGridFunctions.prefscopeTheme = (theme) => theme.withParams({
    backgroundColor: 'var(--panel)',
    foregroundColor: 'var(--ink)',
    headerTextColor: 'var(--dim)',
    headerBackgroundColor: 'var(--panel)',
    borderColor: 'var(--line)',
    rowHoverColor: 'var(--hover)',
    selectedRowBackgroundColor: 'var(--selected)',
    accentColor: 'var(--accent)',
    fontFamily: 'inherit',
    fontSize: 13,
    headerFontSize: 12,
    headerFontWeight: 600,
    rowHeight: 46,
    headerHeight: 40,
    spacing: 7,
    wrapperBorder: false,
    wrapperBorderRadius: 0,
    columnBorder: false,
    browserColorScheme: 'inherit',
});
