// A folder that is dropped becomes one archive, so that what lies beside a log is read with it.
(function () {
    const prefscope = (window.dash_clientside = window.dash_clientside || {}).prefscope = (window.dash_clientside.prefscope || {});
    const MOST_FILES = 2000;
    const LARGEST = 250 * 1048576;
    // What no reader takes: model weights and what is hidden (dashboard/sources/archives.py).
    const PASSED_OVER = /^\.|\.(safetensors|bin|pt|pth|ckpt|gguf|ggml|onnx|h5|msgpack|npy|npz|pkl|pickle|distcp|arrow)$/i;

    const TABLE = new Uint32Array(256).map((_, n) => {
        let value = n;
        for (let k = 0; k < 8; k += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
        return value >>> 0;
    });
    const crc32 = (bytes) => {
        let value = 0xffffffff;
        for (let i = 0; i < bytes.length; i += 1) value = TABLE[(value ^ bytes[i]) & 255] ^ (value >>> 8);
        return (value ^ 0xffffffff) >>> 0;
    };

    const entriesOf = (folder) => new Promise((found, failed) => {
        const reader = folder.createReader();
        const all = [];
        // A reader gives some hundred entries at a time, and none at the end.
        const more = () => reader.readEntries((some) => { all.push(...some); if (some.length) more(); else found(all); }, failed);
        more();
    });
    const fileOf = (entry) => new Promise((found, failed) => entry.file(found, failed));

    const collect = async (folder, path, files) => {
        for (const entry of await entriesOf(folder)) {
            if (PASSED_OVER.test(entry.name)) continue;
            const place = path + '/' + entry.name;
            if (entry.isDirectory) await collect(entry, place, files);
            else files.push({place, file: await fileOf(entry)});
            if (files.length > MOST_FILES) throw new Error('the folder has more than ' + MOST_FILES + ' files: drop the one that holds the logs.');
        }
        return files;
    };

    // Local header and entry of the directory have these fields in common (PKWARE's APPNOTE, 4.3.7 and 4.3.12):
    // version, flags (names are UTF-8), method (stored), time, date, CRC-32, size twice, length of the name and of extras.
    const common = (view, at, crc, size, name) => {
        [20, 0x0800, 0, 0, 33].forEach((value, i) => view.setUint16(at + 2 * i, value, true));
        [crc, size, size].forEach((value, i) => view.setUint32(at + 10 + 4 * i, value, true));
        view.setUint16(at + 22, name.length, true);
    };

    const archive = async (files) => {
        const parts = [];
        const directory = [];
        let offset = 0;
        for (const {place, file} of files) {
            const bytes = new Uint8Array(await file.arrayBuffer());
            const name = new TextEncoder().encode(place);
            const crc = crc32(bytes);
            const local = new DataView(new ArrayBuffer(30));
            local.setUint32(0, 0x04034b50, true);
            common(local, 4, crc, bytes.length, name);
            const entry = new DataView(new ArrayBuffer(46));
            entry.setUint32(0, 0x02014b50, true);
            entry.setUint16(4, 20, true);
            common(entry, 6, crc, bytes.length, name);
            entry.setUint32(42, offset, true);
            parts.push(local, name, bytes);
            directory.push(entry, name);
            offset += 30 + name.length + bytes.length;
        }
        const size = new Blob(directory).size;
        const last = new DataView(new ArrayBuffer(22));
        last.setUint32(0, 0x06054b50, true);
        [files.length, files.length].forEach((value, i) => last.setUint16(8 + 2 * i, value, true));
        [size, offset].forEach((value, i) => last.setUint32(12 + 4 * i, value, true));
        return new Blob([...parts, ...directory, last]);
    };

    prefscope.importFolder = async (folder) => {
        const files = await collect(folder, folder.name, []);
        const total = files.reduce((sum, one) => sum + one.file.size, 0);
        if (!files.length) throw new Error('there is no file in it that could be a log.');
        if (total > LARGEST) throw new Error('its files have ' + Math.round(total / 1048576) + ' MB, the limit is 250 MB: drop a folder inside it.');
        return {name: folder.name + '.zip', blob: await archive(files)};
    };
})();
