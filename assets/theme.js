// Loaded before the styles: the page never flashes in the wrong theme.
(function () {
    let saved = null;
    try { saved = localStorage.getItem('theme'); } catch { /* storage is switched off */ }
    const dark = window.matchMedia('(prefers-color-scheme: dark)');
    const show = (theme) => document.documentElement.setAttribute('data-bs-theme', theme);
    show(saved === 'dark' || saved === 'light' ? saved : dark.matches ? 'dark' : 'light');
    dark.addEventListener('change', (event) => {
        let chosen = null;
        try { chosen = localStorage.getItem('theme'); } catch { /* as above */ }
        if (!chosen) show(event.matches ? 'dark' : 'light');
    });
})();
