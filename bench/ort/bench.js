// bench.js BUILD_DIR VOCAB_FILE FOLDER ROUNDS
//
// ONNX Runtime with FOLDER/{fp32,int8}.onnx against host/bench/engine with FOLDER/{fp32,int8}.dsst, one thread each, in turn: in
// each round every way of running a set of texts gets its turn, and a figure is the median over the rounds. Before that
// the fp32 logits of both are compared, lest we measure two computations. bench/ort/run calls it.
'use strict';

const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const ort = require('onnxruntime-node');

const [build, vocabFile, folder, roundsArgument] = process.argv.slice(2);
const rounds = Number(roundsArgument);
const bench = path.dirname(__dirname);

const LENGTHS = ['8', '25', '32', '64', '128', '256', '512'];
const LOGITS_BOUND = 1e-3;
const ROUND_MS = 300; // short texts are run again and again for so long

// Times ONNX Runtime's speed; a mix's goal is against the best of its ways.
const GOALS = {
  fp32: { 25: 1.5, 128: 1.5, 512: 1.35, sst: 1.4, reviews: 1.4 },
  int8: { 25: 1.8, 128: 1.5, 512: 1.3, sst: 1.6, reviews: 1.5 },
};

const progress = (line) => process.stderr.write(`bench-ort: ${line}\n`);

function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}

// --- The texts ---

const vocab = new Map(fs.readFileSync(vocabFile, 'utf8').split('\n').map((piece, id) => [piece, id]));

// Arrays of token ids: those of bench/texts, whose words are one token each.
function idsOf(what) {
  const lines = execFileSync(path.join(bench, 'texts'), [what], { encoding: 'utf8' }).trimEnd().split('\n');
  return lines.map((line) => ['[CLS]', ...line.split(' '), '[SEP]'].map((piece) => vocab.get(piece)));
}

// --- ONNX Runtime ---

// One input of ONNX Runtime: texts padded to the longest, and the mask that says so.
function padded(texts) {
  const length = Math.max(...texts.map((text) => text.length));
  const ids = new BigInt64Array(texts.length * length);
  const mask = new BigInt64Array(texts.length * length);
  texts.forEach((text, i) => {
    text.forEach((id, j) => {
      ids[i * length + j] = BigInt(id);
      mask[i * length + j] = 1n;
    });
  });
  const tensor = (data) => new ort.Tensor('int64', data, [texts.length, length]);
  return { input_ids: tensor(ids), attention_mask: tensor(mask) };
}

function inBatches(texts, size) {
  const batches = [];
  for (let i = 0; i < texts.length; i += size) {
    batches.push(padded(texts.slice(i, i + size)));
  }
  return batches;
}

const openSession = (precision) =>
  ort.InferenceSession.create(path.join(folder, `${precision}.onnx`), {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });

// Milliseconds for all batches, the median of so many runs.
async function timeOrt(session, batches, runs) {
  const times = [];
  for (let i = 0; i < runs; i++) {
    const begin = performance.now();
    for (const batch of batches) {
      await session.run(batch);
    }
    times.push(performance.now() - begin);
  }
  return median(times);
}

// --- distilsst ---

// What the engine prints of the texts.
function engine(precision, texts, ...options) {
  const file = path.join(folder, 'ids');
  fs.writeFileSync(file, texts.map((text) => `${text.join(' ')}\n`).join(''));
  return execFileSync(
    path.join(build, 'host/bench/engine'),
    ['-m', path.join(folder, `${precision}.dsst`), '-i', file, ...options].map(String),
    { encoding: 'utf8' },
  );
}

// Milliseconds for all texts, the median of so many runs.
function timeOurs(precision, texts, batch, runs) {
  const output = engine(precision, texts, '-b', batch, '-r', runs);
  return Number(/([0-9.]+) ms\/text/.exec(output)[1]) * texts.length;
}

// --- Measuring ---

// Fails where our fp32 logits differ from ONNX Runtime's. A padded batch is among them: its mask must work.
async function compareLogits(session) {
  const batches = [['8'], ['25'], ['128'], ['512'], ['8', '25', '64']].map((whats) => whats.flatMap(idsOf));
  for (const texts of batches) {
    const { logits } = await session.run(padded(texts));
    const ours = engine('fp32', texts, '--logits').trim().split(/\s+/).map(Number);
    const worst = Math.max(...ours.map((logit, i) => Math.abs(logit - logits.data[i])));
    if (ours.length !== logits.data.length || !(worst <= LOGITS_BOUND)) {
      throw new Error(`the fp32 logits of ${texts.map((ids) => ids.length)} tokens differ by ${worst}`);
    }
  }
  progress(`the fp32 logits of ${batches.flat().length} texts agree within ${LOGITS_BOUND}`);
}

function waysOf(what, texts, session, precision) {
  const sorted = [...texts].sort((a, b) => a.length - b.length);
  const ortWay = (name, batches) => ({ name, time: (runs) => timeOrt(session, batches, runs) });
  const ourWay = (name, batch) => ({ name, time: async (runs) => timeOurs(precision, texts, batch, runs) });
  const ways = [ortWay('ort 1', inBatches(texts, 1)), ourWay('ours 1', 1)];
  if (what === 'sst') {
    ways.push(
      ortWay('ort 32', inBatches(texts, 32)),
      ourWay('ours 32', 32),
      ortWay('ort 32-sorted', inBatches(sorted, 32)),
    );
  }
  return ways;
}

// Milliseconds a text by the name of the way.
async function measure(what, session, precision) {
  const texts = idsOf(what);
  const ways = waysOf(what, texts, session, precision);
  const times = ways.map(() => []);
  await ways[0].time(1); // ONNX Runtime plans its memory for a new shape
  const runs = Math.max(1, Math.min(50, Math.ceil(ROUND_MS / (await ways[0].time(1)))));
  for (let round = 0; round < rounds; round++) {
    for (const [i, way] of ways.entries()) {
      times[i].push((await way.time(runs)) / texts.length);
    }
  }
  const result = new Map(ways.map((way, i) => [way.name, median(times[i])]));
  progress(`${precision} ${what}: ${[...result].map(([name, ms]) => `${name} ${ms.toFixed(3)}`).join(', ')} ms/text`);
  return result;
}

// --- The report ---

const digits = (ms) => ms.toFixed(ms < 10 ? 2 : ms < 100 ? 1 : 0);

function row(name, precision, theirs, ours, goal) {
  const ratio = theirs / ours;
  const verdict = goal === undefined ? '' : `${goal} ${ratio >= goal ? '(reached)' : `(short by ${(goal - ratio).toFixed(2)})`}`;
  return `| ${name} | ${precision} | ${digits(theirs)} | ${digits(ours)} | ${ratio.toFixed(2)} | ${verdict} |`;
}

function rowsOf(what, precision, ms) {
  const goal = GOALS[precision][what];
  const get = (name) => ms.get(name);
  if (what === 'sst') {
    const best = Math.min(get('ort 1'), get('ort 32'), get('ort 32-sorted'));
    return [
      row('256 short texts, one by one', precision, get('ort 1'), get('ours 1')),
      row('the same, batches of 32 as written', precision, get('ort 32'), get('ours 32')),
      row('the same, sorted by length for ONNX Runtime', precision, get('ort 32-sorted'), get('ours 32')),
      row('the same, its best of these', precision, best, get('ours 32'), goal),
    ];
  }
  const name = what === 'reviews' ? '64 reviews, one by one' : `one text of ${what} tokens`;
  return [row(name, precision, get('ort 1'), get('ours 1'), goal)];
}

async function main() {
  const tsv = [];
  const table = [];
  for (const precision of ['fp32', 'int8']) {
    const session = await openSession(precision);
    if (precision === 'fp32') {
      await compareLogits(session);
    }
    for (const what of [...LENGTHS, 'sst', 'reviews']) {
      const ms = await measure(what, session, precision);
      table.push(...rowsOf(what, precision, ms));
      for (const [name, time] of ms) {
        const [who, batch] = name.split(' ');
        tsv.push([who, what, batch, precision, time.toFixed(4)].join('\t'));
      }
    }
    await session.release();
  }
  const text = [
    `ONNX Runtime ${ort.env.versions.node} and distilsst, one thread each, the same weights and token ids, in turn on one`,
    `core of ${require('os').cpus()[0].model}; medians of ${rounds}. Goals are for distilsst with the best kernels of the CPU.`,
    '',
    '| texts | precision | ONNX Runtime, ms/text | distilsst, ms/text | times its speed | goal |',
    '|---|---|--:|--:|--:|---|',
    ...table,
  ];
  fs.writeFileSync(path.join(bench, 'results-ort.md'), `${text.join('\n')}\n`);
  fs.writeFileSync(path.join(bench, 'results-ort.tsv'), `${tsv.join('\n')}\n`);
}

main().catch((error) => {
  process.stderr.write(`${error.stdout ?? ''}${error.stack}\n`);
  process.exit(1);
});
