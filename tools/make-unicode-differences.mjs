// Makes src/core/unicode_differences.h: where the tokenizer's rules differ from what some utf8proc may say.
//
//   cd "$(mktemp -d)"
//   npm install @unicode/unicode-{8,9,10,11,12,13,14,15,16,17}.0.0 @unicode/unicode-{12,15}.1.0
//   NODE_PATH=$PWD/node_modules node .../tools/make-unicode-differences.mjs > .../src/core/unicode_differences.h
//
// With --check FILE it writes nothing and fails if FILE is not what it would write.
//
// For every code point it compares the answer the rules give (categories of Unicode 8.0, decompositions of
// Unicode 12, lower case of Unicode 17) with the answers of each Unicode version from 8.0 to 17.0, from which
// utf8proc's tables are made. Case and decomposition are stable once a character is assigned, but its category is
// not, and a lower case may come later than its capital. Code points without a character in 17.0 get an entry too,
// so that the characters of a later version change nothing.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const VERSIONS = ['8.0.0', '9.0.0', '10.0.0', '11.0.0', '12.0.0', '12.1.0', '13.0.0', '14.0.0', '15.0.0',
    '15.1.0', '16.0.0', '17.0.0'];
const CATEGORIES = '8.0.0', DECOMPOSITIONS = '12.1.0', LOWER = '17.0.0', LAST = 0x10FFFF;

const KINDS = {
    REMOVED: ['Control', 'Format', 'Private_Use'],
    MARK: ['Nonspacing_Mark'],
    SPACE: ['Space_Separator', 'Line_Separator', 'Paragraph_Separator'],
    PUNCT: ['Connector_Punctuation', 'Dash_Punctuation', 'Open_Punctuation', 'Close_Punctuation',
        'Initial_Punctuation', 'Final_Punctuation', 'Other_Punctuation'],
};

const require = createRequire(import.meta.url);

async function load(version, path) {
    const folder = process.env.NODE_PATH ?? join(process.cwd(), 'node_modules');
    const file = join(folder, `@unicode/unicode-${version}`, path);
    const module = await import(pathToFileURL(require.resolve(file)));
    return module.default;
}

async function loadVersion(version) {
    const kind = new Array(LAST + 1).fill('KEPT');
    for (const [name, categories] of Object.entries(KINDS))
        for (const category of categories)
            for (const c of await load(version, `General_Category/${category}/code-points.mjs`))
                kind[c] = name;
    return {
        kind,
        unassigned: new Set(await load(version, 'General_Category/Unassigned/code-points.mjs')),
        lower: await load(version, 'Simple_Case_Mapping/Lowercase/code-points.mjs'),
    };
}

const data = {};
for (const version of VERSIONS)
    data[version] = await loadVersion(version);
const decompositions = await load('17.0.0', 'Decomposition_Mapping/Canonical/code-points.mjs');

// A decomposition never changes, so a version has those of the characters that it has.
const decomposes = (version, c) => decompositions.has(c) && !data[version].unassigned.has(c);
const lower = (version, c) => data[version].lower.get(c) ?? c;

// Does a utf8proc of this version give another answer than the rules? Lower case is asked of a character only
// after decomposition: U+0130 is never asked.
function differs(version, c) {
    return data[version].kind[c] !== data[CATEGORIES].kind[c]
        || decomposes(version, c) !== decomposes(DECOMPOSITIONS, c)
        || (lower(version, c) !== lower(LOWER, c) && !decomposes(DECOMPOSITIONS, c));
}

// Kept as it is: entries may grow over such characters, which makes them fewer.
const plain = (c) => data[CATEGORIES].kind[c] === 'KEPT' && lower(LOWER, c) === c && !decomposes(DECOMPOSITIONS, c)
    && !(c >= 0xAC00 && c <= 0xD7A3);

const entries = [];
const why = { kind: 0, decomposition: 0, lower: 0, unassigned: 0 };
let plainSince = 0;
for (let c = 0; c <= LAST; c++) {
    if (!plain(c))
        plainSince = c + 1;
    const unassigned = data[LOWER].unassigned.has(c);
    if (!unassigned && !VERSIONS.some((version) => differs(version, c)))
        continue;
    // An entry means: not decomposed. What the rules decompose must therefore need no entry.
    if (decomposes(DECOMPOSITIONS, c))
        throw new Error(`U+${c.toString(16)} needs an entry and is decomposed`);
    why.kind += VERSIONS.some((v) => data[v].kind[c] !== data[CATEGORIES].kind[c]);
    why.decomposition += VERSIONS.some((v) => decomposes(v, c));
    why.lower += VERSIONS.some((v) => lower(v, c) !== lower(LOWER, c));
    why.unassigned += unassigned;
    const entry = { first: c, last: c, kind: data[CATEGORIES].kind[c], lower: lower(LOWER, c) - c };
    const before = entries.at(-1);
    const alike = before && before.kind === entry.kind && before.lower === entry.lower;
    if (alike && (before.last === c - 1 || before.first >= plainSince))
        before.last = c;
    else
        entries.push(entry);
}

const hex = (c) => '0x' + c.toString(16).toUpperCase().padStart(5, '0');
const cells = entries.map((e) => `{${hex(e.first)}, ${hex(e.last)}, CHAR_${e.kind}, ${e.lower}}`);
const rows = [];
for (let i = 0; i < cells.length; i += 3)
    rows.push('    ' + cells.slice(i, i + 3).join(', '));

const numbers = VERSIONS.map((version) => version.replace(/\.0$/, ''));
const text = `/*
 * unicode_differences.h - where BERT's rules differ from what utf8proc says.
 *
 * Made by tools/make-unicode-differences.mjs from the data of Unicode ${numbers.slice(0, 6).join(', ')},
 * ${numbers.slice(6).join(', ')}. Do not edit.
 *
 * The tokenizer that the models were trained with has three Unicode versions in it, and utf8proc has whichever it
 * was built with. So that the ids do not depend on the latter, every code point about which any version from
 * 8.0 to 17.0 disagrees with the rules stands here:
 *
 *   kind            of Unicode 8.0: marks, format characters and punctuation added later are kept, and characters
 *                   whose category changed since then have the old one (${why.kind} code points)
 *   decomposition   of Unicode 12: those added later are not applied (${why.decomposition} code points)
 *   lower case      of Unicode 17: older versions lack it (${why.lower} code points)
 *   no character    in Unicode 17: kept, whatever a later version says (${why.unassigned} code points)
 *
 * An entry is the whole answer for its code points: their kind, no decomposition, and c + lower as lower case.
 * Entries also run over characters that all versions keep as they are, which makes them fewer.
 */
#ifndef UNICODE_DIFFERENCES_H
#define UNICODE_DIFFERENCES_H

#include <stdint.h>

typedef enum char_kind
{
    CHAR_KEPT,
    CHAR_REMOVED,               /* Cc, Cf, Co: gone before anything else */
    CHAR_SPACE,                 /* Zs, Zl, Zp */
    CHAR_MARK,                  /* Mn: gone after decomposition */
    CHAR_PUNCT                  /* P*: a word of its own */
} char_kind;

typedef struct unicode_difference
{
    int32_t     first, last;
    char_kind   kind;
    int32_t     lower;          /* lower case minus the character */
} unicode_difference;

/* In order, without overlap. */
static const unicode_difference unicode_differences[${entries.length}] = {
${rows.join(',\n')}
};

#endif
`;

const check = process.argv.indexOf('--check');
if (check < 0)
    process.stdout.write(text);
else if (readFileSync(process.argv[check + 1], 'utf8') !== text) {
    console.error(`${process.argv[check + 1]} is not what this script makes`);
    process.exit(1);
}
