// The look of the table: AG Grid's theme in the page's own colours.
window.dashAgGridFunctions = window.dashAgGridFunctions || {};

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
