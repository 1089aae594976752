// Makes test/golden: what Hugging Face's Rust tokenizer gives for texts, with the vocabulary of bert-base-uncased.
//
//   cd "$(mktemp -d)" && npm install @anush008/tokenizers@0.6.0 && export NODE_PATH=$PWD/node_modules && cd -
//   node test/make-golden.mjs model/builtin/vocab.txt test/golden test/golden/{edge,docs,fuzz}.jsonl
//
// The second line, from the root of the repository, writes the files anew after the vocabulary has changed. The
// texts are those of the rows given; new texts are added as rows {"text": "..."}.
//
//   node test/make-golden.mjs --check VOCAB.txt FILE...     writes nothing, compares the ids in the files
//
// test/golden/characters.tsv.gz does not depend on the vocabulary: the words that a + c + b is normalised and
// split into, for every code point c.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';

const { Tokenizer, bertNormalizer, bertPreTokenizer } = createRequire(import.meta.url)('@anush008/tokenizers');
const SPECIALS = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

// tokenizer.json as bert-base-uncased and the DistilBERT checkpoints have it, with another vocabulary.
function tokenizerOf(vocabFile) {
    const lines = readFileSync(vocabFile, 'utf8').replace(/\n$/, '').split('\n');
    const vocab = Object.fromEntries(lines.map((line, id) => [line.replace(/\r$/, ''), id]));
    const special = (token) => ({ SpecialToken: { id: token, type_id: 0 } });
    const sequence = (id, type_id) => ({ Sequence: { id, type_id } });
    const cls = special('[CLS]'), sep = special('[SEP]'), sepB = { SpecialToken: { id: '[SEP]', type_id: 1 } };
    const ids = (token) => ({ id: token, ids: [vocab[token]], tokens: [token] });
    return Tokenizer.fromString(JSON.stringify({
        version: '1.0',
        truncation: null,
        padding: null,
        added_tokens: SPECIALS.map((content) => ({ id: vocab[content], content, single_word: false, lstrip: false,
            rstrip: false, normalized: false, special: true })),
        normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null,
            lowercase: true },
        pre_tokenizer: { type: 'BertPreTokenizer' },
        post_processor: { type: 'TemplateProcessing', single: [cls, sequence('A', 0), sep],
            pair: [cls, sequence('A', 0), sep, sequence('B', 1), sepB],
            special_tokens: { '[CLS]': ids('[CLS]'), '[SEP]': ids('[SEP]') } },
        decoder: { type: 'WordPiece', prefix: '##', cleanup: true },
        model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##',
            max_input_chars_per_word: 100, vocab },
    }));
}

const readRows = (file) => readFileSync(file, 'utf8').trim().split('\n').map((line) => JSON.parse(line));
const idsOf = async (tokenizer, text) => [...(await tokenizer.encode(text)).getIds()];
const escape = (c) => '\\u' + c.charCodeAt(0).toString(16).padStart(4, '0');
const toLine = (row) => JSON.stringify(row).replace(/[^ -~]/g, escape) + '\n';

async function check(vocabFile, files) {
    const tokenizer = tokenizerOf(vocabFile);
    let failed = 0;
    for (const file of files) {
        let rows = 0, wrong = 0;
        for (const { text, ids, n_full } of readRows(file)) {
            const got = await idsOf(tokenizer, text);
            if (n_full !== undefined && got.length > ids.length)
                got.splice(ids.length - 1, got.length - ids.length);
            rows++;
            wrong += JSON.stringify(got) !== JSON.stringify(ids);
        }
        console.log(`${basename(file)}: ${rows} rows, ${wrong} differ`);
        failed += wrong;
    }
    process.exitCode = failed ? 1 : 0;
}

// The words of a + c + b: code points in hex joined by _, = for c itself; words joined by spaces.
function spell(normalizer, splitter, c) {
    const words = splitter.preTokenizeString(normalizer.normalizeString(`a${String.fromCodePoint(c)}b`));
    const name = (char) => (char.codePointAt(0) === c ? '=' : char.codePointAt(0).toString(16).toUpperCase());
    return words.map(([word]) => [...word].map(name).join('_')).join(' ');
}

function characters() {
    const normalizer = bertNormalizer({ cleanText: true, handleChineseChars: true, lowercase: true });
    const splitter = bertPreTokenizer();
    const ranges = [];
    for (let c = 1; c <= 0x10FFFF; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        const words = spell(normalizer, splitter, c);
        const before = ranges.at(-1);
        if (before && before.words === words && before.last === c - 1)
            before.last = c;
        else
            ranges.push({ first: c, last: c, words });
    }
    const hex = (c) => c.toString(16).toUpperCase();
    return gzipSync(ranges.map((r) => `${hex(r.first)}\t${hex(r.last)}\t${r.words}\n`).join(''), { level: 9 });
}

async function make(vocabFile, folder, files) {
    const tokenizer = tokenizerOf(vocabFile);
    mkdirSync(folder, { recursive: true });
    for (const file of files) {
        let lines = '';
        for (const { text } of readRows(file))
            lines += toLine({ text, ids: await idsOf(tokenizer, text) });
        writeFileSync(join(folder, basename(file)), lines);
    }
    writeFileSync(join(folder, 'characters.tsv.gz'), characters());
}

const [first, ...rest] = process.argv.slice(2);
if (first === '--check')
    await check(rest[0], rest.slice(1));
else if (rest.length > 1)
    await make(first, rest[0], rest.slice(1));
else {
    console.error('usage: make-golden.mjs VOCAB.txt FOLDER FILE...\n'
        + '       make-golden.mjs --check VOCAB.txt FILE...');
    process.exitCode = 2;
}
