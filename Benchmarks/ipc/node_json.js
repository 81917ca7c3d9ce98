#!/usr/bin/env node
// The same work in Node.js: JSON, one document a line, over a Unix socket.
//
// node_json.js serve PATH
// node_json.js measure PATH --bytes N --count N --warm-up N --samples FILE
// node_json.js connections PATH --connections N --bytes N --seconds N --samples FILE
'use strict';
const net = require('net');
const common = require('./node_common.js');

/** Calls `receive` with each line of a socket. */
function lines(socket, receive) {
  let parts = [];
  socket.setEncoding('utf8');
  socket.on('data', (data) => {
    let start = 0;
    for (let end; (end = data.indexOf('\n', start)) >= 0; start = end + 1) {
      parts.push(data.slice(start, end));
      const line = parts.length === 1 ? parts[0] : parts.join('');
      parts = [];
      receive(line);
    }
    if (start < data.length) parts.push(data.slice(start));
  });
}

function serve({path}) {
  const server = net.createServer((socket) => {
    lines(socket, (line) => socket.write(JSON.stringify(common.reply(JSON.parse(line))) + '\n'));
    socket.on('error', () => {});
  });
  server.listen({path, backlog: 4096}, () => common.report({listening: true}));
}

function measure({path, bytes, count, 'warm-up': warmUp, samples}) {
  const text = common.text(Number(bytes));
  const last = Number(warmUp) + Number(count);
  const times = [];
  let turn = 0;
  let start;
  const socket = net.connect(path, ask);
  function ask() {
    turn += 1;
    start = process.hrtime.bigint();
    socket.write(JSON.stringify(common.request(turn, text)) + '\n');
  }
  lines(socket, (line) => {
    common.verify(JSON.parse(line), turn, text);
    if (turn > Number(warmUp)) times.push(process.hrtime.bigint() - start);
    if (turn < last) return ask();
    common.keep(times, samples);
    common.report({count: times.length});
    socket.end();
  });
}

function connections({path, connections: count, bytes, seconds, samples}) {
  const text = common.text(Number(bytes));
  const times = [];
  const answers = new Array(Number(count)).fill(0);
  let isRunning = false;
  let connected = 0;
  const starts = [];
  for (let number = 0; number < Number(count); number += 1) {
    const socket = net.connect(path, () => {
      connected += 1;
      if (connected === Number(count)) common.report({connected});
    });
    let turn = 0;
    let start;
    const ask = () => {
      turn += 1;
      start = process.hrtime.bigint();
      socket.write(JSON.stringify(common.request(turn, text)) + '\n');
    };
    starts.push(ask);
    lines(socket, (line) => {
      common.verify(JSON.parse(line), turn, text);
      times.push(process.hrtime.bigint() - start);
      answers[number] += 1;
      if (isRunning) ask();
    });
  }
  process.stdin.once('data', () => {
    isRunning = true;
    for (const ask of starts) ask();
    setTimeout(() => { isRunning = false; }, Number(seconds) * 1000);
    setTimeout(() => {
      common.keep(times, samples);
      common.report({answers, lost: 0, seconds: Number(seconds)});
      process.stdin.once('data', () => process.exit(0));
    }, Number(seconds) * 1000 + 300);
  });
}

const options = common.options();
({serve, measure, connections})[options.role](options);
